package gateway

import (
	"context"
	"testing"

	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/spec"
)

// BenchmarkChat is what the gateway adds to a call: limits, a budget, the
// ledger on SQLite and the record's text on.
func BenchmarkChat(b *testing.B) {
	l := newLab(b, map[string]*fake{one: {script: func(int, llm.Request) (llm.Stream, error) { return says("good day", 7, 3), nil }}},
		&spec.LLM{Name: "gpt", Deployments: at(one), Price: &spec.LLMPrice{Input: 0.25, Output: 2}, Budget: spec.LLMBudget{USD: 1e6},
			Limits: spec.LLMLimits{Requests: 1e9, Tokens: 1e12, Concurrency: 1000}})
	l.deps.Recorder = discard{}
	ctx := as("ann")
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			s, err := l.Chat(ctx, "gpt", hello())
			if err != nil {
				b.Error(err)
				return
			}
			if _, err := llm.Collect(s); err != nil {
				b.Error(err)
			}
		}
	})
	if n := l.books.Dropped(); n > 0 {
		b.Logf("%d calls are not in the ledger", n)
	}
}

type discard struct{}

func (discard) Record(context.Context, Entry) error { return nil }
