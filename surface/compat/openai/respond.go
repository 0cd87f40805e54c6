package openai

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/llm/gateway"
	"github.com/leat-ai/leat/pattern/knowledge"
	"github.com/leat-ai/leat/surface/compat"
)

// respond answers a request for a response.
func (x *exchange) respond() error {
	body, err := x.read()
	if err != nil {
		return err
	}
	q, err := readRespond(body)
	if err != nil {
		return err
	}
	ctx, cancel, err := x.within(q.Stream)
	if err != nil {
		return err
	}
	defer cancel()
	m, err := x.responder(ctx, q)
	if err != nil {
		return err
	}
	r := &response{request: q, created: x.began.Unix(), model: q.Model}
	switch {
	case m.Kind == Assistant && q.Stream:
		return x.streamAssistantResponse(ctx, m, r)
	case m.Kind == Assistant:
		return x.assistantResponse(ctx, m, r)
	case q.Stream:
		return x.streamResponse(ctx, m.Name, r)
	}
	return x.wholeResponse(ctx, m.Name, r)
}

// responder finds who answers: the model that the request names or, where that
// is a language model which is to search, the assistant over what it names.
func (x *exchange) responder(ctx context.Context, q *respondRequest) (Model, error) {
	m, err := x.model(q.Model)
	if err != nil || q.search == nil {
		return m, err
	}
	if m.Kind == Assistant {
		for _, s := range q.search.Stores {
			if !slices.Contains(m.Knowledge, s) {
				return m, bad("tools", "%s does not answer from %.80q", m.Name, s)
			}
		}
		return m, nil
	}
	if len(q.search.Stores) != 1 {
		return m, bad("tools", "a language model searches one knowledge at a time, not %d", len(q.search.Stores)).
			hint("declare an assistant over several, and name it as the model")
	}
	return x.assistantOver(ctx, m.Name, q.search.Stores[0], "tools")
}

// forgotten answers who asks for a response that was given before.
func (x *exchange) forgotten() error {
	return fault.New(fault.NotFound, "responses are not kept here, so %.80q cannot be read again", x.r.PathValue("id"))
}

// response is a response in the making.
type response struct {
	request *respondRequest
	id      string
	created int64
	model   string
	items   []*item
	spent   *spent
	finish  llm.Finish
	own     []byte // what the protocol has no place for, or nil
}

// The kinds of items of an answer.
const (
	messageItem = "message"
	callItem    = "function_call"
	searchItem  = "file_search_call"
)

// item is a part of a response.
type item struct {
	kind, id string
	place    int // among the response's items

	text, refusal string // of a message
	annotations   []annotation

	callID, name, arguments string // of a call

	query    string // of a search
	passages []knowledge.Passage
}

// add begins an item.
func (r *response) add(kind string) *item {
	prefix := map[string]string{messageItem: "msg_", callItem: "fc_", searchItem: "fs_"}[kind]
	place := len(r.items)
	it := &item{kind: kind, place: place, id: prefix + r.id + "_" + strconv.Itoa(place)}
	r.items = append(r.items, it)
	return it
}

// status is how the response ended.
func (r *response) status() string {
	if r.finish == llm.FinishLength || r.finish == llm.FinishFilter {
		return "incomplete"
	}
	return "completed"
}

// appendTo writes the response. failed is what it broke off with, or nil.
func (r *response) appendTo(dst []byte, status string, failed error) []byte {
	q := r.request
	dst = compat.AppendString(append(dst, `{"id":`...), "resp_"+r.id)
	dst = appendInt(append(dst, `,"object":"response","created_at":`...), r.created)
	dst = compat.AppendString(append(dst, `,"status":`...), status)
	dst = append(dst, `,"background":false,"error":`...)
	if failed != nil {
		p := problemOf(failed)
		dst = compat.AppendString(append(dst, `{"code":`...), cmp.Or(p.code, p.kind))
		dst = append(compat.AppendString(append(dst, `,"message":`...), p.message), '}')
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"incomplete_details":`...)
	switch {
	case status != "incomplete":
		dst = append(dst, "null"...)
	case r.finish == llm.FinishFilter:
		dst = append(dst, `{"reason":"content_filter"}`...)
	default:
		dst = append(dst, `{"reason":"max_output_tokens"}`...)
	}
	dst = appendOrNull(append(dst, `,"instructions":`...), q.Instructions)
	dst = append(dst, `,"max_output_tokens":`...)
	if q.MaxTokens > 0 {
		dst = appendInt(dst, q.MaxTokens)
	} else {
		dst = append(dst, "null"...)
	}
	dst = compat.AppendString(append(dst, `,"model":`...), r.model)
	dst = append(dst, `,"output":[`...)
	if status != "in_progress" {
		for i, it := range r.items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = r.appendItem(dst, it, "completed")
		}
	}
	dst = append(r.appendAsked(append(dst, ']')), `,"usage":`...)
	if r.spent == nil {
		dst = append(dst, "null"...)
	} else {
		dst = r.spent.appendAsResponse(dst)
	}
	if r.own != nil {
		dst = append(append(dst, `,"leat":`...), r.own...)
	}
	return append(dst, '}')
}

// appendAsked tells back what was asked, as the protocol does.
func (r *response) appendAsked(dst []byte) []byte {
	q := r.request
	dst = appendBool(append(dst, `,"parallel_tool_calls":`...), q.Parallel == nil || *q.Parallel)
	dst = append(dst, `,"previous_response_id":null,"store":false,"truncation":"disabled","temperature":`...)
	dst = appendNumber(dst, q.Temperature)
	dst = appendNumber(append(dst, `,"top_p":`...), q.TopP)
	kind := llm.FormatText
	if q.Text.Format != nil {
		kind = q.Text.Format.Kind
	}
	dst = compat.AppendString(append(dst, `,"text":{"format":{"type":`...), string(kind))
	dst = append(dst, `}},"tool_choice":`...)
	switch c := q.ToolChoice; c.Mode {
	case llm.ToolsNamed:
		dst = append(compat.AppendString(append(dst, `{"type":"function","name":`...), c.Name), '}')
	case llm.ToolsOther:
		dst = appendRaw(dst, c.Raw)
	default:
		dst = compat.AppendString(dst, cmp.Or(string(c.Mode), "auto"))
	}
	dst = append(dst, `,"tools":[`...)
	for i, t := range q.Tools {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, t.raw...)
	}
	dst = append(dst, `],"metadata":`...)
	if m := present(q.Metadata); len(m) > 0 {
		return appendRaw(dst, m)
	}
	return append(dst, "{}"...)
}

func appendNumber(dst []byte, f *float64) []byte {
	if f == nil {
		return append(dst, "null"...)
	}
	return strconv.AppendFloat(dst, *f, 'g', -1, 64)
}

// appendAsResponse writes usage in the words of this protocol.
func (s *spent) appendAsResponse(dst []byte) []byte {
	dst = appendInt(append(dst, `{"input_tokens":`...), s.Input)
	dst = appendInt(append(dst, `,"input_tokens_details":{"cached_tokens":`...), s.CachedInput)
	dst = appendInt(append(dst, `},"output_tokens":`...), s.Output)
	dst = appendInt(append(dst, `,"output_tokens_details":{"reasoning_tokens":`...), s.Reasoning)
	dst = appendInt(append(dst, `},"total_tokens":`...), s.Input+s.Output)
	return append(s.appendCost(dst), '}')
}

// appendItem writes an item; what is in progress is empty yet.
func (r *response) appendItem(dst []byte, it *item, status string) []byte {
	done := status == "completed"
	dst = compat.AppendString(append(dst, `{"type":`...), it.kind)
	dst = compat.AppendString(append(dst, `,"id":`...), it.id)
	dst = compat.AppendString(append(dst, `,"status":`...), status)
	switch it.kind {
	case messageItem:
		dst = append(dst, `,"role":"assistant","content":[`...)
		if done {
			dst = it.appendContent(dst)
		}
		dst = append(dst, ']')
	case callItem:
		dst = compat.AppendString(append(dst, `,"call_id":`...), it.callID)
		dst = compat.AppendString(append(dst, `,"name":`...), it.name)
		arguments := it.arguments
		if !done {
			arguments = ""
		}
		dst = compat.AppendString(append(dst, `,"arguments":`...), arguments)
	case searchItem:
		dst = compat.AppendString(append(dst, `,"queries":[`...), it.query)
		dst = append(dst, `],"results":`...)
		if done && slices.Contains(r.request.Include, "file_search_call.results") {
			dst = appendResults(dst, it.passages)
		} else {
			dst = append(dst, "null"...)
		}
	}
	return append(dst, '}')
}

// appendContent writes the content of a message that is whole.
func (it *item) appendContent(dst []byte) []byte {
	if it.refusal != "" {
		return append(compat.AppendString(append(dst, `{"type":"refusal","refusal":`...), it.refusal), '}')
	}
	return it.appendText(dst, it.text, it.annotations)
}

func (it *item) appendText(dst []byte, text string, annotations []annotation) []byte {
	dst = compat.AppendString(append(dst, `{"type":"output_text","text":`...), text)
	dst = append(dst, `,"annotations":[`...)
	for i, a := range annotations {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendFlatAnnotation(dst, a)
	}
	return append(dst, `],"logprobs":[]}`...)
}

// appendFlatAnnotation writes an annotation as responses have it: of an
// address where the source has one, otherwise of a file.
func appendFlatAnnotation(dst []byte, a annotation) []byte {
	if a.cited.URL != "" {
		dst = appendURLCitation(append(dst, `{"type":"url_citation",`...), a)
	} else {
		dst = appendInt(append(dst, `{"type":"file_citation","index":`...), a.end)
		dst = compat.AppendString(append(dst, `,"file_id":`...), a.cited.Source)
		dst = compat.AppendString(append(dst, `,"filename":`...), titleOf(fileName(a.cited.Source), a.cited.Source))
	}
	return append(appendSpan(append(dst, `,"leat":`...), a.cited), '}')
}

func appendResults(dst []byte, passages []knowledge.Passage) []byte {
	dst = append(dst, '[')
	for i, p := range passages {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendFile(append(dst, '{'), p.Source, p.Score)
		dst = compat.AppendString(append(dst, `,"text":`...), p.Text)
		dst = append(dst, `,"attributes":{}}`...)
	}
	return append(dst, ']')
}

// wholeResponse answers with a language model's whole answer.
func (x *exchange) wholeResponse(ctx context.Context, name string, r *response) error {
	s, err := x.LLMs.Chat(ctx, name, r.request.request(name))
	if err != nil {
		return err
	}
	a, err := llm.Collect(s)
	call, _ := gateway.CallOf(s)
	tell(x.w.Header(), call)
	if err != nil {
		return err
	}
	r.id, r.model = x.responseID(call.ID), cmp.Or(a.Model, r.model)
	r.spent = spentBy(call, a.Usage)
	if len(a.Choices) > 0 {
		c := a.Choices[0]
		r.finish = c.Finish
		if text := c.Message.Text(); text != "" || c.Message.Refusal != "" || len(c.Message.Calls) == 0 {
			it := r.add(messageItem)
			it.text, it.refusal = text, c.Message.Refusal
		}
		for _, call := range c.Message.Calls {
			it := r.add(callItem)
			it.callID, it.name, it.arguments = call.ID, call.Name, call.Arguments
		}
	}
	x.replyResponse(r)
	return nil
}

func (x *exchange) responseID(id string) string {
	return cmp.Or(id, x.w.Header().Get("X-Request-Id"))
}

func (x *exchange) replyResponse(r *response) {
	x.out = append(r.appendTo(x.out, r.status(), nil), '\n')
	x.reply()
}

// questionOfResponse makes a question of what a response is asked.
func (x *exchange) questionOfResponse(m Model, q *respondRequest) (knowledge.Question, error) {
	checked := chatRequest{ToolChoice: q.ToolChoice, Format: q.Text.Format}
	if err := checked.answerable(); err != nil {
		return knowledge.Question{}, err
	}
	question, err := questionOf(m.Name, q.messages)
	if err != nil {
		return question, err
	}
	question.Received = x.began
	filter, err := q.filter()
	question.Filter = json.RawMessage(filter)
	return question, err
}

// assistantResponse answers with an assistant's answer.
func (x *exchange) assistantResponse(ctx context.Context, m Model, r *response) error {
	question, err := x.questionOfResponse(m, r.request)
	if err != nil {
		return err
	}
	a, err := x.ask(ctx, question, "response")
	if err != nil {
		return err
	}
	x.answerHeaders(&a)
	all := markAll(&a)
	r.id = x.responseID(a.ID)
	search := r.add(searchItem)
	search.query, search.passages = cmp.Or(a.Query, question.Text), a.Passages
	message := r.add(messageItem)
	message.text, message.annotations = a.Text, annotationsOf(all)
	r.finish, r.spent, r.own = a.Finish, spentOn(&a), appendOwn(nil, &a, all)
	x.replyResponse(r)
	return nil
}
