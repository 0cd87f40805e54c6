// Package gateway is the way to language models: one name for a model that
// several deployments serve, with limits, budgets, retries, fallback, prices
// and a ledger around every call.
//
// It stands in llm/ beside the providers and knows none of them: app gives it
// (Deps.Open) what opens a deployment. Put LLM resources in force by Converge;
// then call Chat, Embed and Rerank by the name of one. What a call took and
// cost is a Call: CallOf says it of a stream, before its end as far as it is
// known, and Failed in the chain of an error says it of a call that failed.
//
//	admit (who, limits) → reserve (budget) → route → attempt → settle → ledger, record
//
// What is promised:
//
//   - Before a call is made its worst case is reserved in every budget that it
//     counts against; afterwards what it really cost is settled. So what was
//     spent and what is under way never exceed a budget, but for a call whose
//     provider counts more than the worst case. Replicas of one catalog share
//     budgets. See budget.go for what a crash costs.
//   - An attempt that a provider took and that gave no answer is paid too, as
//     far as can be estimated, and another one is made only where the budgets
//     hold its worst case beside that.
//   - Nothing is tried again after the first piece of an answer was given out.
//     Before that it is, within a budget of retries and as the provider asks.
//   - A stream that breaks off ends in an error, never in io.EOF.
//   - A caller that goes away is settled by what it was given; where the answer
//     was to come whole, by the worst case, for nobody saw how far it was.
//   - Where an LLM's record is required, nothing of an answer is given out
//     before all of it is there and recorded.
//   - Every call is in the ledger, or is counted as not in it.
package gateway

import (
	"context"
	"log/slog"
	"time"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/telemetry"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/store/catalog"
)

// Deployment is one place where a model is served, as resources have it.
type Deployment struct {
	At      string // an address as llm.ParseAddress reads it, or the folder of a sentence transformer
	Secret  string // reference to the key; "" for none, or for that of the environment
	Options map[string]string
}

// Provider is an opened deployment: what it can do. What it cannot is nil.
type Provider struct {
	Chat     llm.Chat
	Embedder llm.Embedder
	Reranker llm.Reranker
	Close    func() error // may be nil
}

// Caller is who makes a call.
type Caller struct {
	Name   string
	Groups []string
	May    func(verb, name string) bool // nil: nothing
}

// Entry is a call as the decision log keeps it.
type Entry struct {
	Call     Call
	Question string // JSON: the messages, the texts or the query with its documents
	Answer   string // what was answered, as far as it came
	Required bool   // no record, no answer: return once it is durable

	ask  func() string // makes Question, when the call is recorded
	size int           // of what ask holds on to, in bytes
}

// Recorder keeps calls as decisions. It is safe for many goroutines.
type Recorder interface {
	Record(ctx context.Context, e Entry) error
}

// Deps is what a gateway stands on.
type Deps struct {
	DB    catalog.Database
	Space string // the environment, whose budgets and calls these are
	// Open makes a deployment's provider. It asks nobody: a deployment that
	// cannot be reached is one whose calls fail.
	Open func(ctx context.Context, d Deployment) (Provider, error)
	// Who says who asks.
	Who      func(ctx context.Context) Caller
	Recorder Recorder // nil: calls are not recorded as decisions
	// Prices of models; see KnownPrices and ParsePrices. A resource's own come
	// before them.
	Prices    Prices
	Clock     clock.Clock
	Log       *slog.Logger
	Telemetry *telemetry.Telemetry
}

// Model is an LLM as callers see it.
type Model struct {
	Name        string
	Description string
	Since       time.Time // when it was put in force here
	Fallback    []string
}

// Call is one call: what is known of it when asked, all of it at its end.
type Call struct {
	ID         string    // 26 letters and digits that sort by time
	At         time.Time // when it was asked for
	Operation  Operation
	LLM        string // as the caller named it
	Served     string // the LLM that answered: LLM, or a fallback
	Deployment string // the address that answered, or was asked last
	Model      string // as the provider calls it
	Caller     string
	Via        string        // what called for the caller, such as assistant/handbook
	Usage      llm.Usage     // of all attempts
	Units      int           // searches that a reranker bills
	Estimated  bool          // the provider did not count, or was not asked to the end
	Unpriced   bool          // no price is known, so the cost is not
	Cost       Money         // of what was used
	Attempts   int           // at deployments, in all
	Fallback   string        // why a fallback was asked: unavailable, context or filter
	Cached     bool          // answered from the cache
	First      time.Duration // until the first piece of the answer
	Duration   time.Duration // until the end
	Finish     llm.Finish
	Error      string // kind of the fault; "canceled" where the caller went away

	// Limits is what is left of the caller's limits, as the call was admitted.
	// The ledger does not keep it.
	Limits Limits
}

// Operation is what is asked of a language model.
type Operation string

// The operations.
const (
	OpChat   Operation = "chat"
	OpEmbed  Operation = "embed"
	OpRerank Operation = "rerank"
)

// Limits is how much of a caller's limits is left. A limit of 0 is none.
type Limits struct {
	Requests, Tokens Quota
}

// Quota is what is left of one limit.
type Quota struct {
	Limit     int64         // per minute
	Remaining int64         // now
	Reset     time.Duration // until it is whole again
}

// Failed is in the chain of the error of a call: what is known of the call.
type Failed struct {
	Call Call
	Err  error
}

// Error returns the text of the error.
func (f *Failed) Error() string { return f.Err.Error() }

// Unwrap returns the error.
func (f *Failed) Unwrap() error { return f.Err }

// CallOf returns what is known of the call that a stream of Chat belongs to.
func CallOf(s llm.Stream) (Call, bool) {
	if c, ok := s.(interface{ Call() Call }); ok {
		return c.Call(), true
	}
	return Call{}, false
}

type viaKey struct{}

// Via returns a context in which calls are made by something that the caller
// may use, such as "assistant/handbook": whoever may ask an assistant need not
// have a grant of its language model, and an assistant may name a deployment
// by its address. Limits, budgets and the ledger go by the caller all the
// same.
func Via(ctx context.Context, what string) context.Context {
	return context.WithValue(ctx, viaKey{}, what)
}
