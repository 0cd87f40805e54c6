package server

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/leat-ai/leat/base/fault"
)

// ReadBody reads a body of at most limit bytes within a time. A declared
// length over the limit is refused unread.
func ReadBody(w http.ResponseWriter, r *http.Request, limit int64, within time.Duration, into *bytes.Buffer) error {
	into.Reset()
	tooLarge := fault.New(fault.TooLarge, "the body is over %d bytes", limit).
		Hint("send fewer rows at a time, or raise limits.max_body of the endpoint")
	if r.ContentLength > limit {
		return tooLarge
	}
	if r.ContentLength > 0 {
		into.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	// In the tests of handlers there is no connection that could be slow.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(within))
	_, err := io.Copy(into, http.MaxBytesReader(w, r.Body, limit))
	if err == nil {
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // see unhurried
		return nil
	}
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return tooLarge
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fault.New(fault.Timeout, "the body did not arrive within %v", within).
			Hint("send it faster, or raise limits.timeout of the endpoint")
	}
	return fault.New(fault.Invalid, "the body ended too early").Because(err)
}

// unhurried takes away the deadline of reading once a body has arrived: it is
// for the client to keep, and not for who works on the request. The standard
// server would end the request's context at it.
func unhurried(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody {
			_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		} else {
			r.Body = &arriving{r.Body, w}
		}
		next.ServeHTTP(w, r)
	})
}

// bounded refuses a body that says it is too large, and cuts off one that is.
func (s *Server) bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		limit := s.config.MaxBody
		if r.ContentLength > limit || r.ContentLength < 0 { // only then does it matter which route it is
			_, pattern := s.mux.Handler(r)
			limit = max(limit, s.large[pattern])
		}
		if r.ContentLength > limit {
			WriteProblem(w, &http.MaxBytesError{Limit: limit})
			return
		}
		cut := *r
		cut.Body = http.MaxBytesReader(w, r.Body, limit)
		next.ServeHTTP(w, &cut)
	})
}

type arriving struct {
	io.ReadCloser
	w http.ResponseWriter
}

func (b *arriving) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		_ = http.NewResponseController(b.w).SetReadDeadline(time.Time{})
	}
	return n, err
}
