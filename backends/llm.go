package backends

import (
	"context"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/guard/egress"
	"github.com/leat-ai/leat/guard/secret/azure"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/llm/anthropic"
	"github.com/leat-ai/leat/llm/cohere"
	"github.com/leat-ai/leat/llm/gateway"
	"github.com/leat-ai/leat/llm/openai"
)

// LLMs opens deployments of language models by their addresses.
type LLMs struct {
	// Policy says whom deployments may ask.
	Policy egress.Policy
	// Secret resolves a reference to a secret, anew for each call.
	Secret func(ctx context.Context, reference string) (string, error)
	// Root is the project's folder, beneath which folders of models are.
	Root string
}

// Bounds of calls of language models: connections to one host, and how long a
// server may think or be silent. The gateway's own timeouts are shorter.
const (
	llmConnections = 1024
	llmSilence     = 10 * time.Minute
	maxLLMBody     = 128 << 20
)

// ownKeys are the variables that hold the key of a provider's own service,
// where a deployment there names no secret.
func ownKeys() map[string]string {
	return map[string]string{
		"openai": "env:OPENAI_API_KEY", "anthropic": "env:ANTHROPIC_API_KEY", "cohere": "env:COHERE_API_KEY",
	}
}

// Open opens a deployment. Keys are resolved by each call, so that one that is
// replaced is used at once, and are sent to the deployment's host alone.
func (s LLMs) Open(ctx context.Context, d gateway.Deployment) (gateway.Provider, error) {
	if !strings.Contains(d.At, "://") {
		return s.folder(ctx, d.At)
	}
	a, err := llm.ParseAddress(d.At)
	if err != nil {
		return gateway.Provider{}, err
	}
	for name, value := range d.Options {
		if a.Options == nil {
			a.Options = url.Values{}
		}
		a.Options.Set(name, value)
	}
	access := llm.Access{Client: s.client(), Stall: llmSilence, Key: s.key(a, d.Secret)}
	if access.Key == nil && a.Provider == openai.AzureScheme && ofAzure(a.Host) {
		tokens := azure.New(azure.Config{})
		access.Token = func(ctx context.Context, scope string) (string, error) {
			return tokens.Token(ctx, azure.Identity{}, scope)
		}
	}
	switch a.Provider {
	case openai.Scheme, openai.AzureScheme:
		c, err := openai.Parse(a)
		if err != nil {
			return gateway.Provider{}, err
		}
		c.Access = access
		p, err := openai.Open(c)
		if err != nil {
			return gateway.Provider{}, err
		}
		return gateway.Provider{Chat: p, Embedder: p, Close: p.Close}, nil
	case anthropic.Scheme:
		c, err := anthropic.Parse(a)
		if err != nil {
			return gateway.Provider{}, err
		}
		c.Access = access
		p, err := anthropic.Open(c)
		if err != nil {
			return gateway.Provider{}, err
		}
		return gateway.Provider{Chat: p, Close: p.Close}, nil
	case cohere.Scheme:
		c, err := cohere.Parse(a)
		if err != nil {
			return gateway.Provider{}, err
		}
		c.Access = access
		p, err := cohere.Open(c)
		if err != nil {
			return gateway.Provider{}, err
		}
		return gateway.Provider{Reranker: p, Close: p.Close}, nil
	}
	return gateway.Provider{}, fault.New(fault.Unsupported, "nobody speaks %s:// to language models", a.Provider).
		Hint("the protocols are openai, azure-openai, anthropic and cohere")
}

func (s LLMs) client() *http.Client {
	return egress.Client(s.Policy, egress.Options{MaxBody: maxLLMBody, Redirects: -1, Stall: llmSilence, Headers: llmSilence, Connections: llmConnections})
}

// key returns what resolves a deployment's key; nil where it has none.
func (s LLMs) key(a llm.Address, reference string) func(context.Context) (string, error) {
	if reference == "" && a.Host == "" { // the provider's own service, whatever the model
		reference = ownKeys()[a.Provider]
	}
	if reference == "" {
		return nil
	}
	return func(ctx context.Context) (string, error) { return s.Secret(ctx, reference) }
}

// ofAzure tells whether a host is Azure's: tokens of the machine's identity
// are shown to nobody else.
func ofAzure(host string) bool {
	if !strings.ContainsAny(host, ".:") {
		return true // the name of a resource
	}
	for _, domain := range []string{".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com", ".openai.azure.us", ".openai.azure.cn"} {
		if strings.HasSuffix(strings.ToLower(host), domain) {
			return true
		}
	}
	return false
}

// folder opens a sentence transformer of the project.
func (s LLMs) folder(ctx context.Context, name string) (gateway.Provider, error) {
	path := filepath.Clean(filepath.FromSlash(name))
	if !filepath.IsLocal(path) {
		return gateway.Provider{}, fault.New(fault.Forbidden, "the folder %q is not one of the project", name)
	}
	m, err := Sentence(ctx, filepath.Join(s.Root, path))
	if err != nil {
		return gateway.Provider{}, err
	}
	return gateway.Provider{Embedder: m}, nil
}
