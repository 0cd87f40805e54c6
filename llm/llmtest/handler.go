package llmtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// handler answers by a script.
type handler struct {
	script  Script
	forget  bool
	stopped context.Context
	stop    context.CancelFunc
	open    atomic.Int64

	mu    sync.Mutex
	asked []Asked
	from  map[string]bool // addresses of clients
}

func newHandler(s Script) *handler {
	h := &handler{script: s, from: map[string]bool{}}
	h.stopped, h.stop = context.WithCancel(context.Background())
	return h
}

// maxBody bounds a request.
const maxBody = 64 << 20

// ServeHTTP answers one request.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.open.Add(1)
	defer h.open.Add(-1)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return // whoever asked has gone
	}
	a, err := understand(r, body)
	if err != nil {
		http.Error(w, fmt.Sprintf(`{"error":{"message":%q,"type":"invalid_request_error"}}`, err), http.StatusBadRequest)
		return
	}
	if !h.forget {
		h.mu.Lock()
		h.asked = append(h.asked, a)
		h.from[r.RemoteAddr] = true
		h.mu.Unlock()
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(h.stopped, cancel)()
	o := &output{ctx: ctx, w: w, asked: a, reply: h.script(a)}
	o.answer()
}

// understand reads what a request asks for.
func understand(r *http.Request, body []byte) (Asked, error) {
	a := Asked{Path: r.URL.RequestURI(), Header: r.Header.Clone(), Body: body}
	switch path := r.URL.Path; {
	case strings.HasSuffix(path, "/chat/completions"):
		a.Protocol = OpenAI
	case strings.HasSuffix(path, "/embeddings"):
		a.Protocol = Embeddings
	case strings.HasSuffix(path, "/messages"):
		a.Protocol = Anthropic
	case strings.HasSuffix(path, "/rerank"):
		a.Protocol = Rerank
	default:
		return a, errors.New("there is nothing at " + path)
	}
	var w wireRequest
	if err := json.Unmarshal(body, &w); err != nil {
		return a, errors.New("the body is not JSON of the protocol")
	}
	a.Model, a.Stream, a.Query, a.Usage = w.Model, w.Stream, w.Query, w.StreamOptions.IncludeUsage
	a.Base64, a.Limit = w.Encoding == "base64", max(w.MaxTokens, w.MaxCompletionTokens)
	a.Top = max(w.Top, w.TopN)
	if text := textOf(w.System); text != "" {
		a.Messages = append(a.Messages, Said{"system", text})
	}
	for _, m := range w.Messages {
		a.Messages = append(a.Messages, Said{m.Role, textOf(m.Content)})
	}
	for _, t := range w.Tools {
		a.Tools = append(a.Tools, t.Name+t.Function.Name)
	}
	for _, list := range []json.RawMessage{w.Input, w.Documents, w.Texts} {
		a.Inputs = append(a.Inputs, listOf(list)...)
	}
	return a, nil
}

type wireRequest struct {
	Model         string
	Stream        bool
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	System   json.RawMessage
	Messages []struct {
		Role    string
		Content json.RawMessage
	}
	Tools []struct {
		Name     string
		Function struct{ Name string }
	}
	MaxTokens           int `json:"max_tokens"`
	MaxCompletionTokens int `json:"max_completion_tokens"`
	Input               json.RawMessage
	Documents           json.RawMessage
	Texts               json.RawMessage
	Query               string
	Encoding            string `json:"encoding_format"`
	Top                 int    `json:"top_k"`
	TopN                int    `json:"top_n"`
}

// textOf is a string, or the texts of a list of parts, those within results of
// tools included.
func textOf(content json.RawMessage) string {
	var text string
	if json.Unmarshal(content, &text) == nil {
		return text
	}
	var parts []struct {
		Text    string
		Content json.RawMessage
	}
	_ = json.Unmarshal(content, &parts) // no list has no text
	for _, p := range parts {
		text += p.Text
		text += innerText(p.Content)
	}
	return text
}

// innerText is the text of a tool's result.
func innerText(content json.RawMessage) (text string) {
	if json.Unmarshal(content, &text) == nil {
		return text
	}
	var parts []struct{ Text string }
	_ = json.Unmarshal(content, &parts) // no list has no text
	for _, p := range parts {
		text += p.Text
	}
	return text
}

// listOf is a string, a list of strings, of objects with a text, or of tokens.
func listOf(list json.RawMessage) (texts []string) {
	var one string
	if json.Unmarshal(list, &one) == nil && one != "" {
		return []string{one}
	}
	var items []json.RawMessage
	_ = json.Unmarshal(list, &items) // no list has no texts
	for _, item := range items {
		var text string
		var object struct{ Text string }
		switch {
		case json.Unmarshal(item, &text) == nil:
		case json.Unmarshal(item, &object) == nil:
			text = object.Text
		default:
			text = string(item)
		}
		texts = append(texts, text)
	}
	return texts
}

// output writes one answer, with its fault.
type output struct {
	ctx   context.Context
	w     http.ResponseWriter
	asked Asked
	reply Reply
}

func (o *output) answer() {
	if !o.pause(o.reply.Wait) {
		return
	}
	switch o.reply.Fault {
	case Hang:
		<-o.ctx.Done()
		return
	case Reset:
		o.reset()
		return
	case Garbage:
		o.header("text/html")
		o.write([]byte("<html><body>It works!</body></html>"))
		return
	case NothingAtAll:
		o.header(o.kind())
		return
	case EndlessFrame, EndlessComments:
		o.endless()
		return
	}
	if o.reply.Status != 0 {
		o.status()
		return
	}
	frames, failure := o.frames()
	if o.reply.Fault == ErrorInstead {
		o.header("application/json")
		o.write(failure)
		return
	}
	if o.streams() {
		o.stream(frames, failure)
		return
	}
	o.whole(frames[0])
}

// streams tells whether the answer goes in pieces.
func (o *output) streams() bool {
	return o.asked.Stream && (o.asked.Protocol == OpenAI || o.asked.Protocol == Anthropic)
}

func (o *output) kind() string {
	if o.streams() {
		return "text/event-stream"
	}
	return "application/json"
}

func (o *output) header(kind string) {
	for name, values := range o.reply.Header {
		o.w.Header()[name] = values
	}
	o.w.Header().Set("Content-Type", kind)
}

func (o *output) status() {
	o.header("application/json")
	o.w.WriteHeader(o.reply.Status)
	o.write([]byte(o.reply.Body))
}

// stream sends frames, as far as the fault lets it.
func (o *output) stream(frames [][]byte, failure []byte) {
	o.header("text/event-stream")
	for i, frame := range frames {
		if i == len(frames)/2 && o.midway(frame, frames[len(frames)-1], failure) {
			return
		}
		if i > 0 && !o.pause(o.reply.Pace) {
			return
		}
		o.write(frame)
	}
}

// midway does what the fault does in the middle, and tells whether it was the
// end.
func (o *output) midway(next, last, failure []byte) (ended bool) {
	switch o.reply.Fault {
	case HangMidway:
		<-o.ctx.Done()
	case ResetMidway:
		o.reset()
	case CloseMidway:
		o.close()
	case LengthTooLong, LengthTooShort: // a chunk's, in a stream
		o.raw("\r\nffff\r\n" + string(next[:len(next)/2]))
	case Trickle:
		for i := range next {
			if !o.pause(time.Second) {
				return true
			}
			o.write(next[i : i+1])
		}
		return false
	case GarbageMidway:
		o.write([]byte("data: {\"choi\x00\xff\xfe}}\n\n"))
		o.write(last)
	case CutCharacter:
		cut := bytes.IndexByte(next, 0xE2)
		if cut < 0 {
			cut = len(next) / 2
		}
		o.write(next[:cut+1])
	case EndsEarly:
	case CoveredUp:
		o.write(last)
	case ErrorMidway:
		o.write(failure)
	default:
		return false
	}
	return true
}

// whole sends an answer at once, as far as the fault lets it.
func (o *output) whole(body []byte) {
	half := len(body) / 2
	switch o.reply.Fault {
	case NoFault, CoveredUp, EndsEarly, ErrorMidway:
		if o.reply.Fault != NoFault { // there are no pieces: it ends in its middle
			body = body[:half]
		}
		o.header("application/json")
		o.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		o.write(body)
	case LengthTooLong:
		o.raw("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)+10) + "\r\n\r\n" + string(body))
	case LengthTooShort:
		o.raw("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(half) + "\r\n\r\n" + string(body))
	case GarbageMidway, CutCharacter:
		o.header("application/json")
		o.write(append(body[:half:half], 0xE2, 0x82))
	default:
		o.header("application/json")
		o.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		o.write(body[:half])
		if !o.midway(body[half:], nil, nil) {
			o.write(body[half:])
		}
	}
}

// endless sends without an end what is no answer, until nobody listens.
func (o *output) endless() {
	o.header(o.kind())
	filler := bytes.Repeat([]byte(": still there\n\n"), 4096)
	if o.reply.Fault == EndlessFrame {
		filler = bytes.Repeat([]byte(" "), 64<<10)
		o.write([]byte(`data: {"a":"`))
	}
	for listening := true; listening; {
		listening = o.write(filler) && o.ctx.Err() == nil
	}
}

// write sends bytes, and tells whether somebody is still there.
func (o *output) write(b []byte) bool {
	_, err := o.w.Write(b)
	if f, ok := o.w.(http.Flusher); ok && (o.streams() || o.reply.Fault != NoFault) {
		f.Flush()
	}
	return err == nil
}

// pause waits, and tells whether somebody still listens.
func (o *output) pause(d time.Duration) bool {
	if d <= 0 {
		return o.ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-o.ctx.Done():
		return false
	}
}

// take takes the connection away from the server of HTTP.
func (o *output) take() net.Conn {
	h, ok := o.w.(http.Hijacker)
	if !ok {
		panic(http.ErrAbortHandler)
	}
	conn, buffered, err := h.Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_ = buffered.Flush() // what is written is meant to arrive
	return conn
}

// reset ends the connection so that the other side sees a reset.
func (o *output) reset() {
	conn := o.take()
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // then it is closed at least
	}
	_ = conn.Close()
}

// close ends the connection.
func (o *output) close() { _ = o.take().Close() }

// raw writes to the connection and closes it.
func (o *output) raw(text string) {
	conn := o.take()
	_, _ = io.WriteString(conn, text)
	_ = conn.Close()
}
