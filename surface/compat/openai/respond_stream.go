package openai

import (
	"cmp"
	"context"
	"io"
	"slices"

	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/llm/gateway"
	"github.com/leat-ai/leat/pattern/knowledge"
	"github.com/leat-ai/leat/surface/compat"
)

// events sends a response as it is made.
type events struct {
	*response
	x        *exchange
	f        *frames
	sequence int

	message *item   // that is open, or nil
	calls   []*item // by the index of their call
}

// event begins an event up to where its own members follow.
func (e *events) event(kind string) []byte {
	dst := append(append(e.x.out, "event: "...), kind...)
	dst = append(append(append(dst, "\ndata: {\"type\":\""...), kind...), `","sequence_number":`...)
	dst = appendInt(dst, e.sequence)
	e.sequence++
	return dst
}

// about begins an event of an item.
func (e *events) about(kind string, it *item) []byte {
	dst := compat.AppendString(append(e.event(kind), `,"item_id":`...), it.id)
	return appendInt(append(dst, `,"output_index":`...), it.place)
}

// inside begins an event of a message's content.
func (e *events) inside(kind string, it *item) []byte {
	return append(e.about(kind, it), `,"content_index":0`...)
}

func (e *events) end(dst []byte) { e.f.end(append(dst, '}')) }

// whole sends an event that has the response.
func (e *events) whole(kind, status string, failed error) {
	e.end(e.appendTo(append(e.event(kind), `,"response":`...), status, failed))
}

func (e *events) itemEvent(kind string, it *item, status string) {
	dst := appendInt(append(e.event(kind), `,"output_index":`...), it.place)
	e.end(e.appendItem(append(dst, `,"item":`...), it, status))
}

// begin sends that the response is being made.
func (e *events) begin() {
	e.whole("response.created", "in_progress", nil)
	e.whole("response.in_progress", "in_progress", nil)
}

// openMessage begins the message, once.
func (e *events) openMessage() *item {
	if e.message != nil {
		return e.message
	}
	e.message = e.add(messageItem)
	e.itemEvent("response.output_item.added", e.message, "in_progress")
	return e.message
}

// text sends a piece of the message's text.
func (e *events) text(piece string) {
	opened := e.message != nil
	it := e.openMessage()
	if !opened {
		dst := append(e.inside("response.content_part.added", it), `,"part":`...)
		e.end(it.appendText(dst, "", nil))
	}
	it.text += piece
	dst := compat.AppendString(append(e.inside("response.output_text.delta", it), `,"delta":`...), piece)
	e.end(append(dst, `,"logprobs":[]`...))
}

// refuse sends a piece of the message's refusal.
func (e *events) refuse(piece string) {
	it := e.openMessage()
	if it.refusal == "" {
		e.end(append(e.inside("response.content_part.added", it), `,"part":{"type":"refusal","refusal":""}`...))
	}
	it.refusal += piece
	e.end(compat.AppendString(append(e.inside("response.refusal.delta", it), `,"delta":`...), piece))
}

// annotate sends citations of what was said.
func (e *events) annotate(list []annotation) {
	for _, a := range list {
		it := e.message
		dst := appendInt(append(e.inside("response.output_text.annotation.added", it), `,"annotation_index":`...), len(it.annotations))
		it.annotations = append(it.annotations, a)
		e.end(appendFlatAnnotation(append(dst, `,"annotation":`...), a))
	}
}

// closeMessage ends the message, if one is open.
func (e *events) closeMessage() {
	it := e.message
	if it == nil {
		return
	}
	e.message = nil
	if it.refusal != "" {
		e.end(compat.AppendString(append(e.inside("response.refusal.done", it), `,"refusal":`...), it.refusal))
	} else {
		dst := compat.AppendString(append(e.inside("response.output_text.done", it), `,"text":`...), it.text)
		e.end(append(dst, `,"logprobs":[]`...))
	}
	e.end(it.appendContent(append(e.inside("response.content_part.done", it), `,"part":`...)))
	e.itemEvent("response.output_item.done", it, "completed")
}

// call sends a piece of a call of a function.
func (e *events) call(p llm.CallPart) {
	if p.Index < 0 || p.Index >= llm.MaxCalls {
		return
	}
	for len(e.calls) <= p.Index {
		e.calls = append(e.calls, nil)
	}
	it := e.calls[p.Index]
	if it == nil {
		e.closeMessage()
		it = e.add(callItem)
		it.callID, it.name = p.ID, p.Name
		e.calls[p.Index] = it
		e.itemEvent("response.output_item.added", it, "in_progress")
	}
	if p.Arguments != "" {
		it.arguments += p.Arguments
		e.end(compat.AppendString(append(e.about("response.function_call_arguments.delta", it), `,"delta":`...), p.Arguments))
	}
}

// closeCalls ends the calls.
func (e *events) closeCalls() {
	for _, it := range slices.DeleteFunc(e.calls, func(it *item) bool { return it == nil }) {
		dst := compat.AppendString(append(e.about("response.function_call_arguments.done", it), `,"name":`...), it.name)
		e.end(compat.AppendString(append(dst, `,"arguments":`...), it.arguments))
		e.itemEvent("response.output_item.done", it, "completed")
	}
}

// fail ends a response that broke off. Clients of this protocol look for the
// event, and it never is one of an end.
func (e *events) fail(err error) {
	e.whole("response.failed", "failed", err)
	_ = e.f.send() // a client that is gone has nobody to tell
}

// complete ends a response that is whole.
func (e *events) complete() {
	e.closeMessage()
	e.closeCalls()
	if len(e.items) == 0 {
		e.text("")
		e.closeMessage()
	}
	status := e.status()
	e.whole("response."+status, status, nil)
	_ = e.f.send() // a client that is gone has nobody to tell
}

// streamResponse passes a language model's answer on as it comes.
func (x *exchange) streamResponse(ctx context.Context, name string, r *response) error {
	s, err := x.LLMs.Chat(ctx, name, r.request.request(name))
	if err != nil {
		return err
	}
	defer s.Close()
	d, err := s.Next() // what is refused before it begins is an error with a status
	call, _ := gateway.CallOf(s)
	tell(x.w.Header(), call)
	if err != nil && err != io.EOF {
		return err
	}
	r.id, r.model = x.responseID(call.ID), cmp.Or(d.Model, r.model)
	e := &events{response: r, x: x, f: x.frames()}
	e.begin()
	var counted *llm.Usage
	for ; err == nil; d, err = s.Next() {
		if d.Usage != nil {
			counted = d.Usage
		}
		if e.delta(&d); e.f.send() != nil {
			return nil // closing the stream ends the call
		}
	}
	call, _ = gateway.CallOf(s)
	r.spent = spentBy(call, counted)
	if err != io.EOF {
		e.fail(err)
		return nil
	}
	if call.ID != "" {
		x.w.Header().Set(costTrailer, call.Cost.String())
	}
	e.complete()
	return nil
}

func (e *events) delta(d *llm.Delta) {
	if d.Text != "" {
		e.text(d.Text)
	}
	if d.Refusal != "" {
		e.refuse(d.Refusal)
	}
	for _, p := range d.Calls {
		e.call(p)
	}
	if d.Finish != "" {
		e.finish = d.Finish
	}
}

// streamAssistantResponse sends an assistant's answer, sentence by sentence as
// they are checked.
func (x *exchange) streamAssistantResponse(ctx context.Context, m Model, r *response) error {
	question, err := x.questionOfResponse(m, r.request)
	if err != nil {
		return err
	}
	r.id = x.responseID("")
	e := &events{response: r, x: x, f: x.frames()}
	mark := newMarker()
	var passages []knowledge.Passage
	var all []marked
	begin := func() {
		if e.f.started || e.sequence > 0 {
			return
		}
		e.begin()
		e.searched(question.Text, passages)
	}
	question.Emit = func(p knowledge.Part) error {
		if len(p.Passages) > 0 {
			passages = p.Passages
		}
		if p.Text == "" {
			mark.know(p.Citations)
			return nil
		}
		begin()
		marked := mark.mark(&p)
		e.text(marked.text)
		e.annotate(marked.annotations)
		marked.text = ""
		all = append(all, marked)
		return e.f.send()
	}
	a, err := x.ask(ctx, question, "response")
	switch {
	case err != nil && !e.f.started:
		return err
	case err != nil:
		e.fail(err)
		return nil
	}
	if !e.f.started {
		x.answerHeaders(&a)
	}
	begin()
	r.finish, r.spent, r.own = a.Finish, spentOn(&a), appendOwn(nil, &a, all)
	x.w.Header().Set(costTrailer, gateway.DollarsOf(a.Cost).String())
	e.complete()
	return nil
}

// searched sends what was found.
func (e *events) searched(query string, passages []knowledge.Passage) {
	it := e.add(searchItem)
	it.query, it.passages = query, passages
	e.itemEvent("response.output_item.added", it, "in_progress")
	for _, state := range []string{"in_progress", "searching", "completed"} {
		e.end(e.about("response.file_search_call."+state, it))
	}
	e.itemEvent("response.output_item.done", it, "completed")
}
