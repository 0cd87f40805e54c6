package openai

import (
	"cmp"
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/llm/gateway"
)

// chat answers a chat completion.
func (x *exchange) chat() error {
	body, err := x.read()
	if err != nil {
		return err
	}
	q, err := readChat(body)
	if err != nil {
		return err
	}
	// Azure's older style has the model in the path.
	name := cmp.Or(x.r.PathValue("deployment"), q.Model)
	ctx, cancel, err := x.within(q.Stream)
	if err != nil {
		return err
	}
	defer cancel()
	if len(q.DataSources) > 0 {
		return x.askWithData(ctx, name, q)
	}
	m, err := x.model(name)
	if err != nil {
		return err
	}
	if m.Kind == Assistant {
		return x.askAssistant(ctx, m, q, nil)
	}
	if q.Stream {
		return x.streamChat(ctx, name, m.Name, q)
	}
	return x.wholeChat(ctx, name, m.Name, q)
}

// Headers of LiteLLM's users: how many seconds an answer may take.
const (
	timeoutHeader       = "X-Litellm-Timeout"
	streamTimeoutHeader = "X-Litellm-Stream-Timeout"
)

// within is the request's context with the deadline that its headers ask for.
func (x *exchange) within(stream bool) (context.Context, context.CancelFunc, error) {
	ctx := x.r.Context()
	text := x.r.Header.Get(timeoutHeader)
	if stream {
		text = cmp.Or(x.r.Header.Get(streamTimeoutHeader), text)
	}
	if text == "" {
		return ctx, func() {}, nil
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || !(seconds > 0) {
		return nil, nil, fault.New(fault.Invalid, "the header %s is %.20q, not a number of seconds", timeoutHeader, text)
	}
	limit := time.Duration(min(seconds, 24*3600) * float64(time.Second))
	ctx, cancel := context.WithTimeout(ctx, limit)
	return ctx, cancel, nil
}

// headOf is the head of an answer: the call's id, the model that answers.
func (x *exchange) headOf(id, asked, answers string) head {
	if id == "" {
		id = x.w.Header().Get("X-Request-Id")
	}
	return head{id: id, created: x.began.Unix(), model: cmp.Or(answers, asked)}
}

// wholeChat answers with a language model's whole answer.
func (x *exchange) wholeChat(ctx context.Context, asked, name string, q *chatRequest) error {
	s, err := x.LLMs.Chat(ctx, name, q.request(name))
	if err != nil {
		return err
	}
	a, err := llm.Collect(s)
	call, _ := gateway.CallOf(s)
	if err != nil {
		tell(x.w.Header(), call)
		return err
	}
	h := x.headOf(cmp.Or(a.ID, chatID(call)), asked, a.Model)
	x.out = append(appendCompletion(x.out, &h, &a, spentBy(call, a.Usage)), '\n')
	tell(x.w.Header(), call)
	x.reply()
	return nil
}

// chatID is the id of an answer whose provider gave it none.
func chatID(c gateway.Call) string {
	if c.ID == "" {
		return ""
	}
	return "chatcmpl-" + c.ID
}

// costTrailer tells of the cost of a stream, which its headers cannot know.
const costTrailer = http.TrailerPrefix + "X-Litellm-Response-Cost"

// streamChat passes a language model's answer on as it comes.
func (x *exchange) streamChat(ctx context.Context, asked, name string, q *chatRequest) error {
	s, err := x.LLMs.Chat(ctx, name, q.request(name))
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
	c := chunks{head: x.headOf(cmp.Or(d.ID, chatID(call)), asked, d.Model), usage: q.StreamOptions.IncludeUsage}
	f := x.frames()
	var counted *llm.Usage
	for ; err == nil; d, err = s.Next() {
		if d.Usage != nil {
			counted = d.Usage
		}
		if d.Model != "" {
			c.model = d.Model
		}
		if c.write(f, &d); len(x.out) == 0 {
			continue
		}
		if f.send() != nil {
			return nil // closing the stream ends the call
		}
	}
	if err != io.EOF {
		f.fail(err)
		return nil
	}
	call, _ = gateway.CallOf(s)
	if c.usage {
		c.last(f, spentBy(call, counted))
	}
	if call.ID != "" {
		x.w.Header().Set(costTrailer, call.Cost.String())
	}
	_ = f.done() // a client that is gone has nobody to tell
	return nil
}
