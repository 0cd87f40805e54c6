package knowledge_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/pattern/knowledge"
	"github.com/leat-ai/leat/spec"
)

// reading is a model whose answer is a function of what it is shown, with a
// count of how often it was asked.
func reading() *script {
	return &script{say: func(r llm.Request) (string, error) {
		var b strings.Builder
		n := 0
		for line := range strings.Lines(r.Messages[1].Text()) {
			if strings.HasPrefix(line, "<<") {
				n++
			} else if strings.HasPrefix(line, "Rule ") {
				fmt.Fprintf(&b, "%s [%d]. ", strings.TrimSuffix(strings.TrimSpace(line), "."), n)
			}
		}
		if b.Len() == 0 {
			return "Nothing.", nil
		}
		return b.String(), nil
	}}
}

// Whatever changes in sources and in who may read them: a kept answer is the
// one that would be made now, it tells nothing that the caller may not read,
// and it is made anew only when what was found for the caller has changed.
func TestCacheIsWhatWouldBeAnswered(t *testing.T) {
	readers := [][]string{{"*"}, {"group:a"}, {"group:b"}, {"user:ann"}, {"group:a", "group:b"}}
	callers := []context.Context{as(context.Background(), "ann", "a"), as(context.Background(), "bob", "b"), as(context.Background(), "cyd", "a", "b"), as(context.Background(), "dan", "a")}
	rapid.Check(t, func(r *rapid.T) {
		s := newShelf()
		keeping, plain := reading(), reading()
		none := 0.0
		with := newWorld(t, s, keeping, func(a *deploy.Assistant) { a.Cache, a.Abstain = spec.Duration(time.Hour), &none })
		without := newWorld(t, s, plain, func(a *deploy.Assistant) { a.Abstain = &none })
		seen := map[string]bool{} // caller's groups and what was shown to the model
		for range rapid.IntRange(3, 25).Draw(r, "steps") {
			id := fmt.Sprintf("d%d", rapid.IntRange(0, 3).Draw(r, "document"))
			switch rapid.IntRange(0, 3).Draw(r, "change") {
			case 0:
				s.put(id, document{text: fmt.Sprintf("Rule %s number %d holds for travel.", id, rapid.IntRange(0, 2).Draw(r, "text")), readers: rapid.SampledFrom(readers).Draw(r, "readers")})
			case 1:
				s.remove(id)
			default:
				ctx := rapid.SampledFrom(callers).Draw(r, "caller")
				question := rapid.SampledFrom([]string{"Which rule holds for travel?", "Which  rule holds for travel?", "What number has rule d1?"}).Draw(r, "question")
				before := keeping.count()
				got, parts, err := with.ask(ctx, question)
				if err != nil {
					r.Fatal(err)
				}
				with.check(got, parts)
				want, _, err := without.ask(ctx, question)
				if err != nil {
					r.Fatal(err)
				}
				if got.Text != want.Text || len(got.Citations) != len(want.Citations) || got.Abstained != want.Abstained {
					r.Fatalf("kept %q, would be %q", got.Text, want.Text)
				}
				key := shownTo(ctx, question, got)
				if called := keeping.count() > before; called == seen[key] && !got.Abstained {
					r.Fatalf("called the model: %v; asked so before: %v\n%s", called, seen[key], key)
				}
				seen[key] = !got.Abstained
			}
		}
	})
}

// shownTo is what an answer may depend on.
func shownTo(ctx context.Context, question string, a knowledge.Answer) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v\n%s\n", groupsOf(ctx), strings.Join(strings.Fields(question), " "))
	for _, p := range a.Passages {
		fmt.Fprintf(&b, "%s@%s\n", p.ID, p.Version)
	}
	return b.String()
}

func TestCacheEndsAndForgets(t *testing.T) {
	chat := reading()
	s := newShelf()
	for i := range 40 {
		s.put(fmt.Sprintf("d%d", i), document{text: fmt.Sprintf("Rule topic%dx holds. %s", i, strings.Repeat("More words follow here. ", 12))})
	}
	none := 0.0
	w := newWorldWith(t, s, chat, 32<<10, decide.RecordOn, func(a *deploy.Assistant) { a.Cache, a.Abstain, a.Passages = spec.Duration(time.Hour), &none, 1 })
	for range 2 {
		for i := range 40 {
			w.answer(fmt.Sprintf("Which rule holds for topic%dx?", i))
		}
	}
	if n := chat.count(); n < 60 {
		t.Errorf("%d calls for 80 questions: 32 KiB hold more answers than they can", n)
	}
	chat = reading()
	w = newWorld(t, s, chat, func(a *deploy.Assistant) {
		a.Cache, a.Abstain, a.Passages = spec.Duration(time.Nanosecond), &none, 1
	})
	w.answer("Which rule holds for topic1x?")
	w.answer("Which rule holds for topic1x?")
	if chat.count() != 2 {
		t.Error("an answer was given after its time")
	}
}
