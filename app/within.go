package app

import (
	"io"
	"net/http"
	"sync"
)

// answer turns what a handler writes into a response, as it is written.
type answer struct {
	request  *http.Request
	response *http.Response
	body     *io.PipeWriter
	started  chan struct{}
	once     sync.Once
}

func newAnswer(r *http.Request) *answer {
	reader, writer := io.Pipe()
	return &answer{
		request: r, body: writer, started: make(chan struct{}),
		response: &http.Response{
			Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Body: reader, ContentLength: -1, Request: r,
		},
	}
}

func (w *answer) serve(h http.Handler) {
	// A handler is given a server's request: with a host, an address and a
	// body that is never nil.
	r := w.request.Clone(w.request.Context())
	r.Host, r.RequestURI, r.RemoteAddr = "localhost", r.URL.RequestURI(), "127.0.0.1:0"
	if r.Body == nil {
		r.Body = http.NoBody
	}
	h.ServeHTTP(w, r)
	w.WriteHeader(http.StatusOK)
	_ = w.body.Close()
}

// Header meets http.ResponseWriter.
func (w *answer) Header() http.Header { return w.response.Header }

// WriteHeader meets http.ResponseWriter; the first status counts.
func (w *answer) WriteHeader(status int) {
	w.once.Do(func() {
		w.response.StatusCode, w.response.Status = status, http.StatusText(status)
		w.response.Header = w.response.Header.Clone()
		close(w.started)
	})
}

// Write meets http.ResponseWriter.
func (w *answer) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}
