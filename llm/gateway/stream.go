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

// Next returns the next piece. After io.EOF the call is settled, and recorded
// where it must be.
func (s *stream) Next() (llm.Delta, error) {
	if len(s.ahead) > 0 {
		d := s.ahead[0]
		s.ahead = s.ahead[1:]
		s.call.hear(&d, s.keep)
		return d, nil
	}
	if s.err == nil {
		d, err := s.inner.Next()
		if err == nil {
			s.call.hear(&d, s.keep)
			return d, nil
		}
		s.err = err
	}
	s.over()
	return llm.Delta{}, s.err
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
	n := len(d.Text) + len(d.Refusal) + len(d.Reasoning)
	for i := range d.Calls {
		n += len(d.Calls[i].Name) + len(d.Calls[i].Arguments)
	}
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

// recorded tells whether the call goes into the decision log.
func (c *call) recorded() bool { return c.g.deps.Recorder != nil && c.named.spec.Record != "off" }
