package spec

import (
	"net/url"
	"slices"
	"strings"
)

// LLM is a language model as assistants and callers of the gateway name it:
// where it is served, by how many deployments, at what price, and how much of
// it each caller may have. Models of embeddings and rerankers are LLMs too.
type LLM struct {
	// Name of the model, as callers write it.
	Name string `json:"name" spec:"required"`
	// Description says what it is for.
	Description string `json:"description,omitempty"`
	// Deployments that serve it. A call goes to one of them; another one, or
	// the same again, is asked where that fails before its first byte.
	Deployments []LLMDeployment `json:"deployments" spec:"required"`
	// Route says which deployment a call goes to: by their weights, or to the
	// better of two that are drawn by weight, by their time to the first token
	// and their errors.
	Route string `json:"route,omitempty" spec:"enum=weighted|latency,default=weighted"`
	// Fallback names other LLMs that are asked, in this order, where no
	// deployment can answer: because none is available, because the question
	// is too long for its context, or because its content filter refuses.
	Fallback Names `json:"fallback,omitempty" spec:"ref=LLM"`
	// Attempts bounds how often one call is tried at deployments of this LLM,
	// the first included. Nothing is tried again after the first byte of an
	// answer.
	Attempts int `json:"attempts,omitempty" spec:"min=1,max=10,default=3"`
	// Timeouts bound how long a call may take.
	Timeouts LLMTimeouts `json:"timeouts,omitzero"`
	// Cooldown is how long a deployment is left alone after it has failed
	// several times, or refused for its own limits without saying how long.
	Cooldown Duration `json:"cooldown,omitempty" spec:"default=5s"`
	// Limits bound what callers take.
	Limits LLMLimits `json:"limits,omitzero"`
	// Budget bounds what callers spend.
	Budget LLMBudget `json:"budget,omitzero"`
	// Price of what the built-in table of prices does not know, or of a
	// contract of one's own. A deployment may have its own.
	Price *LLMPrice `json:"price,omitempty"`
	// MaxTokens is how many tokens an answer may have where a call does not
	// say. It is asked of the provider, and is what a budget reserves: 4096
	// where there is a budget and none is given.
	MaxTokens int `json:"max_tokens,omitempty" spec:"min=1,max=1000000"`
	// Cache is how long an answer is given again to an equal request of the
	// same caller. Nothing is kept when absent.
	Cache Duration `json:"cache,omitempty"`
	// Record says whether calls are kept as decisions: on keeps them without
	// holding up the answer and counts what it had to drop; required gives no
	// answer without a record; off keeps none. The ledger of costs is kept
	// anyway.
	Record string `json:"record,omitempty" spec:"enum=on|required|off,default=on"`
	// Allow lists the groups that may call; everybody with a grant when
	// absent.
	Allow Names `json:"allow,omitempty"`
}

// LLMDeployment is one place where a language model is served.
type LLMDeployment struct {
	// At says where, and under which name: openai://HOST/MODEL,
	// openai+http://HOST:PORT/MODEL (vLLM, Ollama, and others of this
	// protocol), azure-openai://RESOURCE/DEPLOYMENT, anthropic://HOST/MODEL,
	// cohere://HOST/MODEL, or the folder of a sentence transformer, which runs
	// in process.
	At string `json:"at" spec:"required,location"`
	// Secret is the key that shows who asks. For Azure the machine's identity
	// does when absent.
	Secret string `json:"secret,omitempty" spec:"secret"`
	// Weight of the deployment among the others; one of weight 0 is asked only
	// where the others cannot.
	Weight *int `json:"weight,omitempty" spec:"min=0,max=1000000"`
	// Price there, where it is another than that of the LLM.
	Price *LLMPrice `json:"price,omitempty"`
	// Options are settings of the protocol, such as api-version of Azure.
	Options map[string]string `json:"options,omitempty" spec:"scalar"`
}

// Share is the deployment's weight.
func (d LLMDeployment) Share() int {
	if d.Weight == nil {
		return 1
	}
	return *d.Weight
}

// LLMTimeouts bound how long a call may take.
type LLMTimeouts struct {
	// First is how long the first token of an answer may take, of each
	// attempt.
	First Duration `json:"first,omitempty" spec:"default=60s"`
	// Total is how long a call may take in all, with what is tried again.
	Total Duration `json:"total,omitempty" spec:"default=10m"`
}

// LLMLimits bound what callers take of a language model. What is over is
// answered at once with 429 and the time to come back.
type LLMLimits struct {
	// Requests is a rate of calls, such as 600/m. A minute's worth may come at
	// once.
	Requests Rate `json:"requests,omitempty"`
	// Tokens is a rate of tokens, in and out, such as 200000/m. A call is
	// admitted by an estimate, and what it really took is settled at its end.
	Tokens Rate `json:"tokens,omitempty"`
	// Concurrency is how many calls are under way at once.
	Concurrency int `json:"concurrency,omitempty" spec:"min=1,max=1000000"`
	// Per says who shares the limits.
	Per string `json:"per,omitempty" spec:"enum=caller|llm,default=caller"`
	// Total bounds all callers together, besides each.
	Total *LLMTotal `json:"total,omitempty"`
}

// LLMTotal bounds all callers of a language model together.
type LLMTotal struct {
	// Requests is a rate of calls.
	Requests Rate `json:"requests,omitempty"`
	// Tokens is a rate of tokens, in and out.
	Tokens Rate `json:"tokens,omitempty"`
	// Concurrency is how many calls are under way at once.
	Concurrency int `json:"concurrency,omitempty" spec:"min=1,max=1000000"`
}

// LLMBudget bounds what is spent in a span of time. A call whose worst case
// does not fit is refused before it is made.
type LLMBudget struct {
	// USD is how many dollars may be spent.
	USD float64 `json:"usd,omitempty" spec:"min=0"`
	// Every is the span of time after which the budget is whole again; spans
	// begin at midnight of 1970-01-01, UTC.
	Every Duration `json:"every,omitempty" spec:"default=1d"`
	// Per says who shares the budget.
	Per string `json:"per,omitempty" spec:"enum=caller|llm,default=llm"`
}

// LLMPrice is what a language model costs, in US dollars.
type LLMPrice struct {
	// Input is the price of a million tokens of input.
	Input float64 `json:"input,omitempty" spec:"min=0"`
	// Cached is the price of a million tokens of input that the provider had
	// in its cache; that of Input when absent.
	Cached *float64 `json:"cached,omitempty" spec:"min=0"`
	// Output is the price of a million tokens of output.
	Output float64 `json:"output,omitempty" spec:"min=0"`
	// Search is the price of a thousand searches, of a reranker that is paid
	// so.
	Search float64 `json:"search,omitempty" spec:"min=0"`
}

// Kind returns KindLLM.
func (l *LLM) Kind() Kind { return KindLLM }

func (l *LLM) name() string { return l.Name }

// LLMSchemes are the protocols of language models on other servers, as
// addresses begin with them.
func LLMSchemes() []string {
	return []string{"openai", "openai+http", "azure-openai", "azure-openai+http", "anthropic", "anthropic+http", "cohere", "cohere+http"}
}

func (l *LLM) check(c *checker) {
	for i := range l.Deployments {
		d := &l.Deployments[i]
		at := element("deployments", i)
		c.secrets(d.Options, below(at, "options"))
		if d.At == "" || c.failed[below(at, "at")] {
			continue
		}
		c.scheme(d.At, below(at, "at"), append([]string{""}, LLMSchemes()...)...)
		if u, err := url.Parse(d.At); strings.Contains(d.At, "://") && (err != nil || u.Host == "" || u.User != nil) {
			c.bad(below(at, "at"), "%s is not an address: %s", label(below(at, "at")), quote([]byte(d.At))).
				Hint("write it like openai://api.openai.com/gpt-5-mini or azure-openai://RESOURCE/DEPLOYMENT")
		}
	}
	if len(l.Deployments) > 0 && !slices.ContainsFunc(l.Deployments, func(d LLMDeployment) bool { return d.Share() > 0 }) {
		c.bad("deployments", "every deployment has weight 0: none would be asked").Hint("give one of them a weight")
	}
	if slices.Contains(l.Fallback, l.Name) {
		c.bad("fallback", "%s falls back on itself", quote([]byte(l.Name))).Hint("name another LLM, or leave it out")
	}
	if t := l.Timeouts; t.First > t.Total {
		c.bad("timeouts.first", "the first token may take %s, and the whole call %s", t.First, t.Total)
	}
	if b := l.Budget; b.USD > 1e9 {
		c.bad("budget.usd", "the budget is over a thousand million dollars")
	} else if b.USD > 0 && b.Every <= 0 {
		c.bad("budget.every", "the budget has no span of time")
	}
}
