// Package cohere asks rerankers: models that order documents by how well they
// answer a query. The protocol is Cohere's rerank in its first and second
// version, which Jina, Voyage, vLLM and LiteLLM speak too, each a little
// differently, and that of text-embeddings-inference.
//
// It stands in llm/, below the contract. Parse makes a Config of an address,
// Open a Provider of that: an llm.Reranker.
package cohere

import (
	"cmp"
	"context"
	"math"
	"net/http"
	"slices"
	"strings"

	wire "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/llm"
)

// Style is what a server of rerankers wants to be asked in.
type Style string

// The styles. The zero Style is V2.
const (
	V2  Style = "v2"  // Cohere's, and of most others: {query, documents, top_n}
	V1  Style = "v1"  // Cohere's first: the same with return_documents
	TEI Style = "tei" // text-embeddings-inference: {query, texts}
)

// Config is one deployment of a reranker.
type Config struct {
	llm.Access
	// URL is that to which /rerank is added: https://api.cohere.com/v2.
	URL string
	// Model is asked for where a request names none.
	Model string
	Style Style
}

// Scheme is that of addresses which Parse reads.
const Scheme = "cohere"

const publicHost = "api.cohere.com"

// Parse makes the configuration of an address: cohere://rerank-v4, or
// cohere+http://127.0.0.1:8000/BAAI/bge-reranker-v2-m3?base=/v1. Its options
// are base=/path, the path above /rerank (/v2 or /v1 by the style, none for
// tei), and style=v1, v2 or tei.
func Parse(a llm.Address) (Config, error) {
	if a.Provider != Scheme {
		return Config{}, fault.New(fault.Invalid, "%q is no address of a reranker", a)
	}
	c := Config{Model: a.Model, Style: Style(cmp.Or(a.Options.Get("style"), string(V2)))}
	base := "/" + string(c.Style)
	if c.Style == TEI {
		base = ""
	}
	var l fault.List
	for name, values := range a.Options {
		ok := len(values) == 1
		switch name {
		case "base":
			base = strings.TrimSuffix(values[0], "/")
			ok = ok && (base == "" || strings.HasPrefix(base, "/"))
		case "style":
			ok = ok && slices.Contains([]Style{V1, V2, TEI}, c.Style)
		default:
			ok = false
		}
		if !ok {
			l.Add(fault.New(fault.Invalid, "the address has an option %s=%s that means nothing", name, values[0]).
				Hint("the options are base=/path and style=v1, v2 or tei"))
		}
	}
	scheme, host := "https://", a.Host
	if a.Plain {
		scheme = "http://"
	}
	if host == "" {
		host = publicHost
	}
	c.URL = scheme + host + base
	return c, l.Err()
}

// Provider is a deployment that is asked. It meets llm.Reranker and io.Closer.
type Provider struct {
	config Config
	server *llm.Server
}

// Open makes a provider. It asks nobody.
func Open(c Config) (*Provider, error) {
	p := &Provider{config: c}
	var err error
	p.server, err = llm.NewServer(c.URL, c.Access, p.sign)
	return p, err
}

// Close ends connections that no call uses.
func (p *Provider) Close() error { return p.server.Close() }

func (p *Provider) sign(ctx context.Context, h http.Header) (secret string, err error) {
	if p.config.Key == nil {
		return "", nil
	}
	if secret, err = p.config.Key(ctx); err != nil {
		return "", err
	}
	h.Set("Authorization", "Bearer "+secret)
	return secret, nil
}

type request struct {
	Model     string    `json:"model,omitzero"`
	Query     string    `json:"query"`
	Documents []string  `json:"documents,omitzero"`
	TopN      int       `json:"top_n,omitzero"`
	Return    *bool     `json:"return_documents,omitzero"`
	Texts     []string  `json:"texts,omitzero"`
	Truncate  bool      `json:"truncate,omitzero"`
	Extra     llm.Extra `json:",embed"`
}

// ours are the members that a request of llm has itself.
var ours = []string{"model", "query", "documents", "top_n", "return_documents", "texts", "truncate", "top_k"}

// Bounds of a request and of its answer.
const (
	maxDocuments = 10_000
	maxBody      = 64 << 20
)

func lenient() wire.Options {
	return wire.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// Rerank orders at most 10,000 documents.
func (p *Provider) Rerank(ctx context.Context, r llm.RerankRequest) (llm.Ranking, error) {
	model := cmp.Or(r.Model, p.config.Model)
	switch {
	case model == "" && p.config.Style != TEI:
		return llm.Ranking{}, fault.New(fault.Invalid, "no model is named")
	case len(r.Documents) > maxDocuments:
		return llm.Ranking{}, fault.New(fault.TooLarge, "%d documents are more than the %d that can be ranked at once", len(r.Documents), maxDocuments)
	case len(r.Documents) == 0:
		return llm.Ranking{Model: model}, nil
	}
	body, err := p.config.body(r, model)
	if err != nil {
		return llm.Ranking{}, err
	}
	reply, err := p.server.Post(ctx, "/rerank", body, false)
	if err != nil {
		return llm.Ranking{}, err
	}
	content, err := reply.All(maxBody)
	if err != nil {
		return llm.Ranking{}, err
	}
	ranking, err := p.read(content, reply, len(r.Documents))
	if err != nil {
		return llm.Ranking{}, err
	}
	ranking.Model = cmp.Or(ranking.Model, model)
	if r.Top > 0 {
		ranking.Results = ranking.Results[:min(r.Top, len(ranking.Results))]
	}
	return ranking, nil
}

func (c Config) body(r llm.RerankRequest, model string) ([]byte, error) {
	w := request{Model: model, Query: r.Query, Extra: llm.Extra{}}
	for name, value := range r.Extra {
		if !slices.Contains(ours, name) {
			w.Extra[name] = value
		}
	}
	switch c.Style {
	case TEI:
		w.Model, w.Texts, w.Truncate = "", r.Documents, true
	case V1:
		no := false
		w.Documents, w.TopN, w.Return = r.Documents, r.Top, &no
	default:
		w.Documents, w.TopN = r.Documents, r.Top
	}
	body, err := wire.Marshal(w, lenient())
	return body, fault.Wrap(err, fault.Invalid, "the request holds JSON that is none")
}

// answer is what all but text-embeddings-inference answer, which has only the
// list of results. Voyage calls the list data.
type answer struct {
	Results []result `json:"results"`
	Data    []result `json:"data"`
	Model   string   `json:"model"`
	Meta    struct {
		Billed struct {
			Units float64 `json:"search_units"`
		} `json:"billed_units"`
		Tokens struct {
			Input float64 `json:"input_tokens"`
		} `json:"tokens"`
	} `json:"meta"`
	Usage struct {
		Prompt int `json:"prompt_tokens"`
		Total  int `json:"total_tokens"`
	} `json:"usage"`
	Error  jsontext.Value `json:"error"`
	Detail jsontext.Value `json:"detail"`
}

type result struct {
	Index     *int     `json:"index"`
	Relevance *float64 `json:"relevance_score"`
	Score     *float64 `json:"score"`
}

func (p *Provider) read(content []byte, reply *llm.Reply, n int) (llm.Ranking, error) {
	var a answer
	var err error
	if jsontext.Value(content).Kind() == '[' {
		err = wire.Unmarshal(content, &a.Results, lenient())
	} else {
		err = wire.Unmarshal(content, &a, lenient())
	}
	switch {
	case err != nil:
		return llm.Ranking{}, p.server.Broken("it is not JSON of the protocol")
	case len(a.Error) > 0 && a.Error.Kind() != 'n' || a.Results == nil && a.Data == nil:
		return llm.Ranking{}, p.server.Refused(content, reply)
	}
	if a.Results == nil {
		a.Results = a.Data
	}
	out := llm.Ranking{Model: a.Model, Units: count(a.Meta.Billed.Units), Usage: llm.Usage{Input: max(a.Usage.Prompt, a.Usage.Total, count(a.Meta.Tokens.Input), 0)}}
	seen := make([]bool, n)
	for _, r := range a.Results {
		score := r.Relevance
		if score == nil {
			score = r.Score
		}
		if r.Index == nil || score == nil || *r.Index < 0 || *r.Index >= n || seen[*r.Index] {
			return llm.Ranking{}, p.server.Broken("a document of the ranking is none of the %d that were given, or was there before", n)
		}
		seen[*r.Index] = true
		out.Results = append(out.Results, llm.Ranked{Index: *r.Index, Score: *score})
	}
	if len(out.Results) == 0 {
		return llm.Ranking{}, p.server.Broken("the ranking is empty")
	}
	// Ours is the promise that they are in order.
	slices.SortStableFunc(out.Results, func(a, b llm.Ranked) int { return cmp.Compare(b.Score, a.Score) })
	return out, nil
}

// count is a count that is written as any number.
func count(f float64) int {
	if !(f > 0) || f > math.MaxInt32 {
		return 0
	}
	return int(math.Ceil(f))
}

var _ llm.Reranker = (*Provider)(nil)
