package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/llm/gateway"
)

// LLMs is the gateway to language models: llm/gateway.
type LLMs interface {
	Status(ctx context.Context) ([]gateway.Status, error)
	Ledger
}

// Ledger is what calls of language models cost.
type Ledger interface {
	Find(ctx context.Context, id string) (gateway.Call, error)
	Calls(ctx context.Context, s gateway.Select) ([]gateway.Call, error)
	Spend(ctx context.Context, since time.Time, by gateway.By) ([]gateway.Spent, error)
}

// LLM is a language model and how it does.
type LLM struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Fallback    []string        `json:"fallback,omitempty"`
	Deployments []LLMDeployment `json:"deployments"`
	Budget      *LLMBudget      `json:"budget,omitempty"`
}

// LLMDeployment is a place that serves it, as this server sees it.
type LLMDeployment struct {
	At         string     `json:"at"`
	Weight     int        `json:"weight"`
	State      string     `json:"state" enum:"ready,cooling"`
	Until      *time.Time `json:"until,omitempty" doc:"when one that is left alone is asked again"`
	Running    int        `json:"running" doc:"calls under way"`
	FirstMS    float64    `json:"first_ms" doc:"average time to the first token"`
	Errors     float64    `json:"errors" doc:"share of calls that fail"`
	LastFailed string     `json:"last_failed,omitempty" doc:"kind of the last failure, until it works again"`
	Priced     bool       `json:"priced" doc:"a price is known"`
}

// LLMBudget is the present span of a budget, of all servers on one catalog.
type LLMBudget struct {
	USD          float64          `json:"usd"`
	EverySeconds int64            `json:"every_seconds"`
	Per          string           `json:"per" enum:"caller,llm"`
	Since        time.Time        `json:"since"`
	Unpriced     bool             `json:"unpriced,omitempty" doc:"calls are refused, because a price is missing"`
	Callers      []LLMBudgetSpent `json:"callers"`
}

// LLMBudgetSpent is what was spent of a budget.
type LLMBudgetSpent struct {
	Caller   string  `json:"caller,omitempty" doc:"absent where all callers share the budget"`
	Spent    float64 `json:"spent" doc:"USD"`
	Reserved float64 `json:"reserved" doc:"USD, for calls under way"`
}

// LLMCall is a call of the ledger.
type LLMCall struct {
	ID          string        `json:"id"`
	At          time.Time     `json:"at"`
	Operation   string        `json:"operation" enum:"chat,embed,rerank"`
	LLM         string        `json:"llm"`
	Served      string        `json:"served" doc:"the LLM that answered: the one asked for, or a fallback"`
	Deployment  string        `json:"deployment"`
	Model       string        `json:"model" doc:"as the provider calls it"`
	Caller      string        `json:"caller"`
	Via         string        `json:"via,omitempty" doc:"what asked for the caller, such as assistant/handbook"`
	Input       int           `json:"input_tokens"`
	CachedInput int           `json:"cached_input_tokens"`
	CacheWrite  int           `json:"cache_write_tokens,omitempty"`
	Output      int           `json:"output_tokens"`
	Reasoning   int           `json:"reasoning_tokens,omitempty"`
	Units       int           `json:"units,omitempty" doc:"searches of a reranker"`
	Estimated   bool          `json:"estimated,omitempty" doc:"the provider did not count, or the caller went away"`
	Unpriced    bool          `json:"unpriced,omitempty" doc:"no price is known"`
	Cost        gateway.Money `json:"cost" doc:"USD"`
	Attempts    int           `json:"attempts"`
	Fallback    string        `json:"fallback,omitempty" doc:"why a fallback was asked: unavailable, context or filter"`
	Cached      bool          `json:"cached,omitempty" doc:"answered from the cache"`
	FirstUS     int64         `json:"first_us" doc:"until the first token, in microseconds"`
	DurationUS  int64         `json:"duration_us"`
	Finish      string        `json:"finish,omitempty"`
	Error       string        `json:"error,omitempty" doc:"kind of the fault"`
}

// LLMSpent is what was spent in a part of the ledger.
type LLMSpent struct {
	Day         string        `json:"day,omitempty"`
	LLM         string        `json:"llm,omitempty"`
	Caller      string        `json:"caller,omitempty"`
	Deployment  string        `json:"deployment,omitempty"`
	Calls       int64         `json:"calls"`
	Failed      int64         `json:"failed"`
	Input       int64         `json:"input_tokens"`
	CachedInput int64         `json:"cached_input_tokens"`
	Output      int64         `json:"output_tokens"`
	Cost        gateway.Money `json:"cost" doc:"USD"`
}

const verbChat = "chat" // call a language model

func (a *API) llms() {
	s := a.services.LLMs
	type noInput struct{}
	type calls struct {
		LLM    string `query:"llm" doc:"only those of this LLM"`
		Caller string `query:"caller" doc:"only those of this caller"`
		Before string `query:"before" doc:"only those before this id: the next page"`
		Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"50"`
	}
	type spend struct {
		Days int      `query:"days" minimum:"1" maximum:"3650" default:"30" doc:"of the latest days, today included"`
		By   []string `query:"by" enum:"day,llm,caller,deployment" doc:"what sums are made by; llm when absent"`
	}
	register(a, route{http.MethodGet, "/v1/llm", "list-llms", "List language models and how they do", "llm", verbRead}, anything,
		func(ctx context.Context, _ identity.Principal, _ *noInput) ([]LLM, error) {
			list, err := s.Status(ctx)
			return each(list, llmOf), err
		})
	register(a, route{http.MethodGet, "/v1/llm/calls", "list-llm-calls", "List calls of language models, the latest first", "llm", verbRead}, anything,
		func(ctx context.Context, _ identity.Principal, in *calls) ([]LLMCall, error) {
			list, err := s.Calls(ctx, gateway.Select{LLM: in.LLM, Caller: in.Caller, Before: in.Before, Limit: in.Limit})
			return each(list, LLMCallOf), err
		})
	register(a, route{http.MethodGet, "/v1/llm/spend", "list-llm-spend", "Show what calls of language models cost", "llm", verbRead}, anything,
		func(ctx context.Context, _ identity.Principal, in *spend) ([]LLMSpent, error) {
			var by gateway.By
			if len(in.By) == 0 {
				by.LLM = true
			}
			for _, name := range in.By {
				switch name {
				case "day":
					by.Day = true
				case "llm":
					by.LLM = true
				case "caller":
					by.Caller = true
				case "deployment":
					by.Deployment = true
				}
			}
			list, err := s.Spend(ctx, time.Now().AddDate(0, 0, 1-in.Days), by)
			return each(list, spentOf), err
		})
	a.ownCall(s)
}

// ownCall is the route of one call: for who may read, and for who made it.
func (a *API) ownCall(s LLMs) {
	type one struct {
		ID string `path:"id"`
	}
	op := huma.Operation{Method: http.MethodGet, Path: "/v1/llm/calls/{id}", OperationID: "get-llm-call", Tags: []string{"llm"}, Security: needs(verbRead),
		Summary: "Show a call of a language model: for its caller, and for who may read"}
	huma.Register(a.huma, op, func(ctx context.Context, in *one) (*Body[LLMCall], error) {
		p, _ := identity.From(ctx)
		c, err := s.Find(ctx, in.ID)
		mine := err == nil && p.Name != "" && c.Caller == p.Name && p.May(verbChat, c.LLM)
		if _, no := allowed(ctx, verbRead, "*"); no != nil && !mine {
			return nil, problem(no)
		}
		if err != nil {
			return nil, problem(err)
		}
		return &Body[LLMCall]{Body: LLMCallOf(c)}, nil
	})
}

func each[T, U any](list []T, f func(T) U) []U {
	out := make([]U, len(list))
	for i, x := range list {
		out[i] = f(x)
	}
	return out
}

func llmOf(s gateway.Status) LLM {
	l := LLM{Name: s.Name, Description: s.Description, Fallback: s.Fallback}
	for _, d := range s.Deployments {
		one := LLMDeployment{At: d.At, Weight: d.Weight, State: d.State, Running: d.Running, FirstMS: float64(d.First.Microseconds()) / 1000,
			Errors: d.Errors, LastFailed: d.LastKind, Priced: d.Priced}
		if !d.Until.IsZero() {
			one.Until = &d.Until
		}
		l.Deployments = append(l.Deployments, one)
	}
	if b := s.Budget; b != nil {
		l.Budget = &LLMBudget{USD: b.USD.USD(), EverySeconds: int64(b.Every.Seconds()), Per: b.Per, Since: b.Since, Unpriced: b.Unpriced,
			Callers: each(b.Callers, func(c gateway.BudgetSpent) LLMBudgetSpent {
				return LLMBudgetSpent{Caller: c.Caller, Spent: c.Spent.USD(), Reserved: c.Reserved.USD()}
			})}
	}
	return l
}

// LLMCallOf is a call as JSON has it.
func LLMCallOf(c gateway.Call) LLMCall {
	return LLMCall{
		ID: c.ID, At: c.At, Operation: string(c.Operation), LLM: c.LLM, Served: c.Served, Deployment: c.Deployment, Model: c.Model, Caller: c.Caller, Via: c.Via,
		Input: c.Usage.Input, CachedInput: c.Usage.CachedInput, CacheWrite: c.Usage.CacheWrite, Output: c.Usage.Output, Reasoning: c.Usage.Reasoning,
		Units: c.Units, Estimated: c.Estimated, Unpriced: c.Unpriced, Cost: c.Cost, Attempts: c.Attempts, Fallback: c.Fallback, Cached: c.Cached,
		FirstUS: c.First.Microseconds(), DurationUS: c.Duration.Microseconds(), Finish: string(c.Finish), Error: c.Error,
	}
}

func spentOf(s gateway.Spent) LLMSpent {
	out := LLMSpent{LLM: s.LLM, Caller: s.Caller, Deployment: s.Deployment, Calls: s.Calls, Failed: s.Failed, Input: s.Input, CachedInput: s.CachedInput, Output: s.Output, Cost: s.Cost}
	if !s.Day.IsZero() {
		out.Day = s.Day.Format(time.DateOnly)
	}
	return out
}
