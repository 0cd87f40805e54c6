package knowledge

import (
	"context"
	"encoding/json"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/decide"
)

// Ledger keeps answers by idempotency key: decide.Ledger.
type Ledger interface {
	Once(ctx context.Context, c decide.Claim, do func(ctx context.Context) ([]byte, error)) (answer []byte, known bool, err error)
}

// Repeats gives a question that is asked again under its idempotency key the
// answer that it got first.
//
// A kept answer has the words of its sources in it, so it is given again only
// while who asks may still read each of them; otherwise it is a Conflict
// fault. It is safe for many goroutines.
type Repeats struct {
	Ledger Ledger
	Texts  Texts
}

// Ask calls ask, or returns the answer that was given under the claim; again
// is true then, and nothing of it was emitted (Answer.Replay does that).
func (r *Repeats) Ask(ctx context.Context, c decide.Claim, ask func(ctx context.Context) (Answer, error)) (a Answer, again bool, err error) {
	stored, again, err := r.Ledger.Once(ctx, c, func(ctx context.Context) ([]byte, error) {
		if a, err = ask(ctx); err != nil {
			return nil, err
		}
		return json.Marshal(a)
	})
	if err != nil {
		return Answer{}, false, err
	}
	if !again {
		return a, false, nil
	}
	a = Answer{} // this call's own, where another's was kept instead
	if err := json.Unmarshal(stored, &a); err != nil {
		return Answer{}, false, fault.New(fault.Corrupt, "the answer stored under the idempotency key cannot be read").Because(err)
	}
	if err := r.readable(ctx, &a); err != nil {
		return Answer{}, false, err
	}
	return a, true, nil
}

// readable tells whether the principal of the context may still read all that
// an answer was made from.
func (r *Repeats) readable(ctx context.Context, a *Answer) error {
	type version struct{ knowledge, source, version string }
	all := map[version]bool{}
	for _, p := range a.Passages {
		all[version{p.Knowledge, p.Source, p.Version}] = true
	}
	for _, c := range a.Citations {
		all[version{c.Knowledge, c.Source, c.Version}] = true
	}
	for v := range all {
		_, _, err := r.Texts.Text(ctx, v.knowledge, v.source, v.version)
		switch {
		case fault.Is(err, fault.NotFound), fault.Is(err, fault.Forbidden):
			return fault.New(fault.Conflict, "the answer given under this idempotency key rests on a source that was withdrawn, or that you may not read any more").
				Hint("ask again with a new key")
		case err != nil:
			return err
		}
	}
	return nil
}

// Replay emits the parts of an answer that was given before.
func (a *Answer) Replay(emit func(Part) error) error {
	if emit == nil {
		return nil
	}
	if err := emit(Part{Passages: a.Passages}); err != nil {
		return err
	}
	at := 0
	for i := range a.Sentences {
		s := &a.Sentences[i]
		if s.Start < at || s.End < s.Start || s.End > len(a.Text) {
			continue
		}
		if at < s.Start {
			if err := emit(Part{Text: a.Text[at:s.Start]}); err != nil {
				return err
			}
		}
		part := Part{Text: a.Text[s.Start:s.End], Sentence: s}
		if i == 0 {
			part.Citations = a.Citations
		}
		if err := emit(part); err != nil {
			return err
		}
		at = s.End
	}
	if at == len(a.Text) {
		return nil
	}
	return emit(Part{Text: a.Text[at:]})
}
