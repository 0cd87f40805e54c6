package gateway

import (
	"context"
	"io"
	"sync"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/llm"
)

// maxAhead is how many pieces without content are held until the first with
// some, and maxRecorded how many bytes of an answer are kept for the record.
const (
	maxAhead    = 64
	maxRecorded = 256 << 10
	// perPiece is what a held piece takes beside its text.
	perPiece = 256
)

// stream is an answer on its way to the caller.
type stream struct {
	call       *call
	deployment *deployment
	inner      llm.Stream
	cancel     context.CancelCauseFunc
	ahead      []llm.Delta // read before the stream was given out
	err        error       // how it ended
	keep       *remembered // gathers the answer for the cache; nil: it is not kept
	once       sync.Once
	held       []llm.Delta // see hold
	holding    bool
}

// begin asks the provider and reads on to the first piece that has content:
// until then another deployment may be asked.
func (s *stream) begin(ctx context.Context, p Provider, r llm.Request) (err error) {
	if s.inner, err = p.Chat.Chat(ctx, r); err != nil {
		return err
	}
	for {
		d, err := s.inner.Next()
		if err == io.EOF {
			if len(s.ahead) == 0 {
				return fault.New(fault.Unavailable, "%s answered nothing", s.deployment.At)
			}
			s.err = io.EOF
			return nil
		}
		if err != nil {
			return err
		}
		s.ahead = append(s.ahead, d)
		if content(&d) || len(s.ahead) >= maxAhead {
			return nil
		}
	}
}

// content tells whether a piece says something to the caller.
func content(d *llm.Delta) bool {
	return d.Text != "" || d.Refusal != "" || d.Reasoning != "" || len(d.Calls) > 0 || d.Finish != ""
}

// Next returns the next piece. After io.EOF the call is settled. Where there is
// no answer without a record, the first piece comes when the whole answer is
// there and recorded.
func (s *stream) Next() (llm.Delta, error) {
	if s.call.mustRecord() {
		s.hold()
		if len(s.held) > 0 {
			d := s.held[0]
			s.held = s.held[1:]
			return d, nil
		}
		return llm.Delta{}, s.err
	}
	if d, ok := s.read(); ok {
		return d, nil
	}
	s.over()
	return llm.Delta{}, s.err
}

// hold reads the answer to its end and records it, once. What cannot be
// recorded is not given out; what broke off and is recorded is.
func (s *stream) hold() {
	if s.holding {
		return
	}
	s.holding = true
	size := 0
	for d, ok := s.read(); ok; d, ok = s.read() {
		if size += sizeOf(&d) + perPiece; size > llm.MaxAnswer {
			s.err = fault.New(fault.TooLarge, "the answer of LLM %q is longer than one that is held until it is recorded may be", s.call.named.spec.Name)
			break
		}
		s.held = append(s.held, d)
	}
	s.over()
	if s.call.hidden {
		s.held = nil
	}
}

// read returns the next piece of the provider; none where s.err says why.
func (s *stream) read() (d llm.Delta, ok bool) {
	switch {
	case len(s.ahead) > 0:
		d, s.ahead = s.ahead[0], s.ahead[1:]
	case s.err != nil:
		return d, false
	default:
		if d, s.err = s.inner.Next(); s.err != nil {
			return llm.Delta{}, false
		}
	}
	s.call.hear(&d, s.keep)
	return d, true
}

// over settles the call, once.
func (s *stream) over() {
	s.once.Do(func() {
		var failed error
		if s.err != io.EOF {
			failed = s.broken(s.err)
		}
		if err := s.call.finish(failed); err != nil {
			s.err = err
		} else if s.keep != nil {
			s.call.g.answers.put(s.keep, s.call.named.spec.Cache.Std())
		}
		s.drop()
	})
}

// broken notes a stream that did not come to its end.
func (s *stream) broken(err error) error {
	if _, _, blame := judge(s.call.ctx, err); blame {
		s.deployment.broke(s.call.g.deps.Clock.Now(), err, 0, s.call.named.spec.Cooldown.Std())
	}
	return err
}

// Close ends the call. One that was not read to its end is settled by what was
// given out.
func (s *stream) Close() error {
	s.once.Do(func() {
		_ = s.call.finish(fault.New(fault.Canceled, "the caller went away")) // whoever closes asks no more
		s.drop()
	})
	return nil
}

// drop frees the connection and the deployment.
func (s *stream) drop() {
	if s.inner != nil {
		_ = s.inner.Close() // nothing more is wanted of it
	}
	s.cancel(context.Canceled)
	s.deployment.leave()
}

// Call returns what is known of the call; all of it after the stream's end.
func (s *stream) Call() Call { return s.call.known() }

func (c *call) known() Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.info
}

// hear notes a piece that goes to the caller.
func (c *call) hear(d *llm.Delta, k *remembered) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d.Model != "" {
		c.info.Model = d.Model
	}
	if d.Finish != "" {
		c.info.Finish = d.Finish
	}
	if d.Usage != nil {
		c.used(*d.Usage, 0)
	}
	n := sizeOf(d)
	if n > 0 {
		c.said += n
		c.pieces++
	}
	if c.recorded() && c.answer.Len() < maxRecorded {
		c.answer.WriteString(d.Text)
		c.answer.WriteString(d.Refusal)
		for i := range d.Calls {
			c.answer.WriteString(d.Calls[i].Name)
			c.answer.WriteString(d.Calls[i].Arguments)
		}
	}
	if k != nil {
		k.add(d, n)
	}
}

// sizeOf is how many bytes of an answer a piece has.
func sizeOf(d *llm.Delta) int {
	n := len(d.Text) + len(d.Refusal) + len(d.Reasoning)
	for i := range d.Calls {
		n += len(d.Calls[i].Name) + len(d.Calls[i].Arguments)
	}
	return n
}

// mustRecord tells whether there is no answer without a record.
func (c *call) mustRecord() bool { return c.recorded() && c.named.spec.Record == "required" }

// recorded tells whether the call goes into the decision log.
func (c *call) recorded() bool { return c.g.deps.Recorder != nil && c.named.spec.Record != "off" }
