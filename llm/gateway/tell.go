package gateway

import (
	"github.com/leat-ai/leat/base/telemetry"
)

// tell makes the instruments of the gateway. Names of times are those of
// OpenTelemetry's conventions for generative models.
type tell struct {
	tel      *telemetry.Telemetry
	calls    telemetry.Counter
	tries    telemetry.Counter
	tokens   telemetry.Counter
	cost     telemetry.Counter
	fallback telemetry.Counter
	took     telemetry.Histogram
	first    telemetry.Histogram
}

func newTell(t *telemetry.Telemetry) tell {
	return tell{
		tel:      t,
		calls:    t.Counter("leat_llm_calls_total", "Calls of language models by outcome: ok, or the kind of the fault.", "llm", "operation", "outcome"),
		tries:    t.Counter("leat_llm_attempts_total", "Attempts at deployments of language models by outcome: ok or failed.", "llm", "deployment", "outcome"),
		tokens:   t.Counter("leat_llm_tokens_total", "Tokens of language models: input, cached (of input) and output.", "llm", "type"),
		cost:     t.Counter("leat_llm_cost_usd_total", "What calls of language models cost, in US dollars.", "llm"),
		fallback: t.Counter("leat_llm_fallbacks_total", "Calls that another LLM answered, by reason: unavailable, context or filter.", "llm", "reason"),
		took:     t.Histogram("gen_ai_client_operation_duration_seconds", "How long calls of language models took.", "llm", "operation"),
		first:    t.Histogram("gen_ai_server_time_to_first_token_seconds", "How long the first piece of an answer took.", "llm"),
	}
}

func (t tell) watch(name string) watch {
	return watch{
		tokens: [3]telemetry.BoundCounter{t.tokens.With(name, "input"), t.tokens.With(name, "cached"), t.tokens.With(name, "output")},
		cost:   t.cost.With(name),
		took:   [3]telemetry.BoundHistogram{t.took.With(name, string(OpChat)), t.took.With(name, string(OpEmbed)), t.took.With(name, string(OpRerank))},
		first:  t.first.With(name),
	}
}

func (t tell) attempts(name, deployment string) [2]telemetry.BoundCounter {
	return [2]telemetry.BoundCounter{t.tries.With(name, deployment, "ok"), t.tries.With(name, deployment, "failed")}
}

// call counts a call that has ended.
func (t tell) call(m *model, c *Call) {
	outcome := "ok"
	if c.Error != "" {
		outcome = c.Error
	}
	t.calls.Add(1, c.LLM, string(c.Operation), outcome)
	if c.Fallback != "" {
		t.fallback.Add(1, c.LLM, c.Fallback)
	}
	w := &m.seen
	w.tokens[0].Add(float64(c.Usage.Input))
	w.tokens[1].Add(float64(c.Usage.CachedInput))
	w.tokens[2].Add(float64(c.Usage.Output))
	w.cost.Add(c.Cost.USD())
	switch c.Operation {
	case OpChat:
		w.took[0].Observe(c.Duration)
		if c.First > 0 {
			w.first.Observe(c.First)
		}
	case OpEmbed:
		w.took[1].Observe(c.Duration)
	case OpRerank:
		w.took[2].Observe(c.Duration)
	}
}
