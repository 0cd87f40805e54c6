package openai

import (
	"cmp"
	"context"
	"encoding/json"
	"net/url"
	"strconv"
	"sync"
	"unicode/utf8"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/llm/gateway"
	"github.com/leat-ai/leat/pattern/knowledge"
	"github.com/leat-ai/leat/surface/compat"
)

// questionOf makes a question of a conversation: its last message, which is
// the user's, after what was said before. An assistant has instructions of its
// own, so those of a system or developer are not read.
func questionOf(assistant string, messages []message) (knowledge.Question, error) {
	q := knowledge.Question{Assistant: assistant}
	for i, m := range messages {
		text, plain := plainText(m)
		last := i == len(messages)-1
		switch {
		case m.Role == llm.System || m.Role == llm.Developer:
			continue
		case last && m.Role != llm.User:
			return q, bad("messages", "the last message is not the user's: there is no question")
		case !plain && m.Role == llm.User:
			return q, bad("messages", "an assistant is asked in text alone")
		case last:
			q.Text = text
		case m.Role == llm.User:
			q.Conversation = append(q.Conversation, knowledge.Turn{Role: knowledge.User, Text: text})
		case m.Role == llm.Assistant:
			q.Conversation = append(q.Conversation, knowledge.Turn{Role: knowledge.Agent, Text: text})
		}
	}
	if q.Text == "" {
		return q, bad("messages", "there is no question")
	}
	return q, nil
}

// answerable refuses what would have to change an assistant's answer and does
// not.
func (q *chatRequest) answerable() error {
	switch mode := q.ToolChoice.Mode; {
	case q.N > 1:
		return bad("n", "an assistant gives one answer")
	case mode != "" && mode != llm.ToolsAuto && mode != llm.ToolsNone:
		return bad("tool_choice", "an assistant calls no tools")
	case q.Format != nil && q.Format.Kind != llm.FormatText:
		return bad("response_format", "an assistant answers in text")
	}
	return nil
}

// askAssistant answers with an assistant's answer; data is nil unless the
// request named a data source.
func (x *exchange) askAssistant(ctx context.Context, m Model, q *chatRequest, data *dataAsked) error {
	if err := q.answerable(); err != nil {
		return err
	}
	question, err := questionOf(m.Name, q.Messages)
	if err != nil {
		return err
	}
	question.Received, question.Filter = x.began, json.RawMessage(present(q.Filter))
	if q.Stream {
		return x.streamAnswer(ctx, question, q, data)
	}
	a, err := x.ask(ctx, question, "chat")
	if err != nil {
		return err
	}
	x.answerHeaders(&a)
	h := x.headOf("chatcmpl-"+a.ID, askedName(q, m), "")
	x.out = append(appendAnswer(x.out, &h, &a, data), '\n')
	x.reply()
	return nil
}

func askedName(q *chatRequest, m Model) string {
	if q.Model != "" {
		return q.Model
	}
	return m.Name
}

// answerHeaders tells of an assistant's answer what LiteLLM tells of a call.
func (x *exchange) answerHeaders(a *knowledge.Answer) {
	tell(x.w.Header(), gateway.Call{ID: a.ID, LLM: a.Variant, Model: a.Model, Cost: gateway.DollarsOf(a.Cost), Duration: 1})
}

// idempotencyKey is the header with which a caller may safely ask again.
const idempotencyKey = compat.IdempotencyKey

// ask asks an assistant, or gives the answer again that was given under the
// request's idempotency key. protocol tells equal bodies of two operations
// apart.
func (x *exchange) ask(ctx context.Context, q knowledge.Question, protocol string) (a knowledge.Answer, err error) {
	if q.Emit != nil {
		v := &valve{emit: q.Emit}
		q.Emit = v.pass
		defer v.shut()
	}
	key := x.r.Header.Get(idempotencyKey)
	if key == "" || x.Repeats == nil {
		return x.Assistants.Ask(ctx, q)
	}
	claim := decide.Claim{Endpoint: "openai/" + q.Assistant, Principal: x.who.Name, Key: key, Body: append([]byte(protocol+"\n"), x.body.Bytes()...)}
	a, again, err := x.Repeats.Ask(ctx, claim, func(ctx context.Context) (knowledge.Answer, error) { return x.Assistants.Ask(ctx, q) })
	if err != nil || !again {
		return a, err
	}
	x.w.Header().Set("Idempotent-Replayed", "true")
	return a, a.Replay(q.Emit)
}

// valve lets parts of an answer through until the question is over: an
// assistant that was given up at a deadline may still be writing, and what it
// writes into is the next request's by then.
type valve struct {
	mu   sync.Mutex
	emit func(knowledge.Part) error // nil once it is over
}

func (v *valve) pass(p knowledge.Part) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.emit == nil {
		return fault.New(fault.Canceled, "the question is over")
	}
	return v.emit(p)
}

func (v *valve) shut() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.emit = nil
}

func spentOn(a *knowledge.Answer) *spent {
	return &spent{Usage: llm.Usage{Input: a.Input, Output: a.Output}, cost: gateway.DollarsOf(a.Cost), priced: true}
}

// finishOf is why an answer ended. One that was kept before answers had it was
// whole, as far as is known.
func finishOf(a *knowledge.Answer) string {
	return string(cmp.Or(a.Finish, llm.FinishStop))
}

// annotation is a citation at a place of an answer, counted in characters:
// the sentence that it supports.
type annotation struct {
	start, end int
	cited      *knowledge.Citation
}

// marked is a checked piece of an answer with the annotations of its sentence.
type marked struct {
	text        string
	annotations []annotation
	sentence    *knowledge.Sentence // nil where the piece is none
	start, end  int                 // of the sentence, in characters of the answer
}

// marker turns parts of an answer into marked ones. It counts characters:
// a part knows bytes, and the protocol's places are characters.
type marker struct {
	bytes, chars int
	citations    map[int]*knowledge.Citation
}

func newMarker() *marker { return &marker{citations: map[int]*knowledge.Citation{}} }

func (m *marker) know(citations []knowledge.Citation) {
	for i := range citations {
		m.citations[citations[i].Number] = &citations[i]
	}
}

// mark takes the next part of an answer.
func (m *marker) mark(p *knowledge.Part) marked {
	m.know(p.Citations)
	out := marked{text: p.Text, sentence: p.Sentence, start: m.chars}
	chars := utf8.RuneCountInString(p.Text)
	out.end = m.chars + chars
	if s := p.Sentence; s != nil {
		from, to := s.Start-m.bytes, s.End-m.bytes
		if from >= 0 && from <= to && to <= len(p.Text) { // its own part of the text
			out.start = m.chars + utf8.RuneCountInString(p.Text[:from])
			out.end = out.start + utf8.RuneCountInString(p.Text[from:to])
		}
		for _, n := range s.Citations {
			if c := m.citations[n]; c != nil {
				out.annotations = append(out.annotations, annotation{out.start, out.end, c})
			}
		}
	}
	m.bytes, m.chars = m.bytes+len(p.Text), m.chars+chars
	return out
}

// markAll is the marked parts of a whole answer.
func markAll(a *knowledge.Answer) []marked {
	m := newMarker()
	m.know(a.Citations)
	var all []marked
	_ = a.Replay(func(p knowledge.Part) error { // mark never fails
		if p.Text != "" {
			all = append(all, m.mark(&p))
		}
		return nil
	})
	return all
}

func annotationsOf(all []marked) []annotation {
	var list []annotation
	for _, m := range all {
		list = append(list, m.annotations...)
	}
	return list
}

// appendAnnotations writes annotations as chat completions have them.
func appendAnnotations(dst []byte, list []annotation) []byte {
	dst = append(dst, '[')
	for i, a := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendURLCitation(append(dst, `{"type":"url_citation","url_citation":{`...), a), '}')
		dst = append(appendSpan(append(dst, `,"leat":`...), a.cited), '}')
	}
	return append(dst, ']')
}

// appendURLCitation writes the members of a citation of an address.
func appendURLCitation(dst []byte, a annotation) []byte {
	dst = appendInt(append(dst, `"start_index":`...), a.start)
	dst = appendInt(append(dst, `,"end_index":`...), a.end)
	dst = compat.AppendString(append(dst, `,"title":`...), titleOf(a.cited.Title, a.cited.Source))
	return compat.AppendString(append(dst, `,"url":`...), addressOf(a.cited))
}

func titleOf(title, source string) string {
	if title == "" {
		return source
	}
	return title
}

// appendSpan writes what a citation is here: bytes of a stored version, which
// were compared with the quote.
func appendSpan(dst []byte, c *knowledge.Citation) []byte {
	dst = appendInt(append(dst, `{"number":`...), c.Number)
	dst = compat.AppendString(append(dst, `,"knowledge":`...), c.Knowledge)
	dst = compat.AppendString(append(dst, `,"source":`...), c.Source)
	dst = compat.AppendString(append(dst, `,"source_version":`...), c.Version)
	dst = appendInt(append(dst, `,"byte_start":`...), c.Start)
	dst = appendInt(append(dst, `,"byte_end":`...), c.End)
	dst = compat.AppendString(append(dst, `,"quote":`...), c.Quote)
	dst = compat.AppendString(append(dst, `,"quote_sha256":`...), c.SHA256)
	if c.Heading != "" {
		dst = compat.AppendString(append(dst, `,"heading":`...), c.Heading)
	}
	if c.Page > 0 {
		dst = appendInt(append(dst, `,"page":`...), c.Page)
	}
	if c.Verified {
		return append(dst, `,"verified":true}`...)
	}
	return append(dst, `,"verified":false}`...)
}

// appendOwn writes what the protocol has no place for, of a whole answer.
func appendOwn(dst []byte, a *knowledge.Answer, all []marked) []byte {
	dst = compat.AppendString(append(dst, `{"decision":`...), a.ID)
	dst = compat.AppendString(append(dst, `,"release":`...), a.Release)
	dst = compat.AppendString(append(dst, `,"variant":`...), a.Variant)
	if a.ServedBy != "" {
		dst = compat.AppendString(append(dst, `,"served_by":`...), a.ServedBy)
	}
	dst = compat.AppendString(append(dst, `,"model":`...), a.Model)
	dst = compat.AppendString(append(dst, `,"query":`...), a.Query)
	dst = appendBool(append(dst, `,"abstained":`...), a.Abstained)
	dst = append(dst, `,"sentences":[`...)
	for _, m := range all {
		if m.sentence == nil {
			continue
		}
		if dst[len(dst)-1] != '[' {
			dst = append(dst, ',')
		}
		dst = appendSentence(dst, &m)
	}
	return append(dst, "]}"...)
}

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, "true"...)
	}
	return append(dst, "false"...)
}

func appendSentence(dst []byte, m *marked) []byte {
	dst = appendInt(append(dst, `{"start_index":`...), m.start)
	dst = appendInt(append(dst, `,"end_index":`...), m.end)
	dst = appendBool(append(dst, `,"supported":`...), m.sentence.Supported)
	dst = append(dst, `,"citations":[`...)
	for i, n := range m.sentence.Citations {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendInt(dst, n)
	}
	return append(dst, "]}"...)
}

// appendAnswer writes an assistant's whole answer as a chat completion.
func appendAnswer(dst []byte, h *head, a *knowledge.Answer, data *dataAsked) []byte {
	all := markAll(a)
	dst = append(h.appendTo(dst, "chat.completion"), `,"choices":[{"index":0,"message":{"role":"assistant","content":`...)
	if data != nil {
		dst = compat.AppendString(dst, data.markers(a.Text, a.Citations, a.Passages))
		dst = append(dst, `,"refusal":null,"annotations":[],"context":`...)
		dst = data.appendContext(dst, a.Passages, a.Query)
	} else {
		dst = compat.AppendString(dst, a.Text)
		dst = appendAnnotations(append(dst, `,"refusal":null,"annotations":`...), annotationsOf(all))
	}
	dst = compat.AppendString(append(dst, `},"logprobs":null,"finish_reason":`...), finishOf(a))
	dst = spentOn(a).appendTo(append(dst, `}],"usage":`...))
	dst = compat.AppendString(append(dst, `,"system_fingerprint":`...), a.Release)
	return append(appendOwn(append(dst, `,"leat":`...), a, all), '}')
}

// streamAnswer sends an assistant's answer, sentence by sentence as they are
// checked.
func (x *exchange) streamAnswer(ctx context.Context, question knowledge.Question, q *chatRequest, data *dataAsked) error {
	e := &emitter{x: x, f: x.frames(), data: data, marker: newMarker(),
		chunks: chunks{head: x.headOf("", q.Model, question.Assistant), usage: q.StreamOptions.IncludeUsage}}
	e.id = "chatcmpl-" + e.id
	if q.Model != "" {
		e.model = q.Model
	}
	question.Emit = e.emit
	a, err := x.ask(ctx, question, "chat")
	if err != nil {
		if !e.f.started {
			return err
		}
		e.f.fail(err)
		return nil
	}
	if !e.f.started {
		x.answerHeaders(&a)
	}
	e.finish(&a)
	return nil
}

// emitter sends parts of an answer as chunks.
type emitter struct {
	chunks
	x        *exchange
	f        *frames
	data     *dataAsked
	marker   *marker
	passages []knowledge.Passage
	all      []marked
}

// emit sends a part. The passages wait for the first text, so that an answer
// that fails before it is an error with a status.
func (e *emitter) emit(p knowledge.Part) error {
	if len(p.Passages) > 0 {
		e.passages = p.Passages
	}
	if p.Text == "" {
		e.marker.know(p.Citations)
		return nil
	}
	e.open()
	m := e.marker.mark(&p)
	m.text = "" // it is on its way
	e.all = append(e.all, m)
	dst := e.chunks.open(e.f.data(), 0)
	if e.data != nil {
		known := make([]knowledge.Citation, 0, len(e.marker.citations))
		for _, c := range e.marker.citations {
			known = append(known, *c)
		}
		dst = compat.AppendString(append(dst, `"content":`...), e.data.markers(p.Text, known, e.passages))
	} else {
		dst = compat.AppendString(append(dst, `"content":`...), p.Text)
		if len(m.annotations) > 0 {
			dst = appendAnnotations(append(dst, `,"annotations":`...), m.annotations)
		}
	}
	if m.sentence != nil {
		dst = append(appendSentence(append(dst, `,"leat":{"sentence":`...), &m), '}')
	}
	e.f.end(e.tail(e.close(dst, "", nil), nil))
	return e.f.send()
}

// open sends whose the answer is and, for a data source, what was found.
func (e *emitter) open() {
	if !e.first(0) {
		return
	}
	dst := append(e.chunks.open(e.f.data(), 0), `"role":"assistant","content":"","refusal":null`...)
	if e.data != nil {
		dst = e.data.appendContext(append(dst, `,"context":`...), e.passages, "")
	}
	e.f.end(e.tail(e.close(dst, "", nil), nil))
}

// finish ends an answer that is whole.
func (e *emitter) finish(a *knowledge.Answer) {
	e.open()
	dst := e.close(e.chunks.open(e.f.data(), 0), finishOf(a), nil)
	dst = compat.AppendString(append(dst, `,"system_fingerprint":`...), a.Release)
	dst = appendOwn(append(dst, `,"leat":`...), a, e.all)
	e.f.end(e.tail(dst, nil))
	if e.usage {
		e.last(e.f, spentOn(a))
	}
	e.x.w.Header().Set(costTrailer, gateway.DollarsOf(a.Cost).String())
	_ = e.f.done() // a client that is gone has nobody to tell
}

// addressOf is where people read what is cited: the source itself or, where it
// has no address, the proof that the native API gives of the citation.
func addressOf(c *knowledge.Citation) string {
	if c.URL != "" {
		return c.URL
	}
	return proofOf(c)
}

// proofOf is the path of a citation's proof in the native API.
func proofOf(c *knowledge.Citation) string {
	return "/v1/knowledge/" + url.PathEscape(c.Knowledge) + "/citations?" + url.Values{
		"source": {c.Source}, "version": {c.Version}, "start": {strconv.Itoa(c.Start)}, "end": {strconv.Itoa(c.End)},
	}.Encode()
}
