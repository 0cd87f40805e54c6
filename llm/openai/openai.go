// Package openai asks language models over OpenAI's protocol: OpenAI itself,
// Azure OpenAI in both of its path styles, and the many servers that speak it
// (vLLM, Ollama, LM Studio, llama.cpp, text-generation-inference…), each with
// its own ideas of it.
//
// It stands in llm/, below the contract. Parse makes a Config of an address,
// Open a Provider of that: an llm.Chat and an llm.Embedder.
//
// What is promised beyond the contract: a stream ends well only where every
// answer in it came to its finish_reason. One that ends before that is an
// error, whatever ends it, "[DONE]" included: proxies are known to write that
// over a stream that broke.
package openai

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/llm"
)

// Config is one deployment of a model.
type Config struct {
	llm.Access
	// URL is where the protocol's paths begin: https://api.openai.com/v1. For
	// Azure it is the resource: https://NAME.openai.azure.com.
	URL string
	// Model is asked for where a request names none. For Azure it is the
	// deployment, and the request's model counts as one too.
	Model string
	// Azure is how Azure is asked; nil: this is not Azure.
	Azure *Azure
	// Compatible says that the server speaks the protocol and is not OpenAI's:
	// it is asked in the older words that all servers know.
	Compatible bool
	// NoUsage asks for no usage in streams, for servers that refuse to be
	// asked.
	NoUsage bool
	// Floats asks for vectors as numbers instead of base64, for servers that
	// know only these.
	Floats bool
	// Headers are sent with each request, such as OpenAI-Organization.
	Headers http.Header
}

// Azure is how Azure OpenAI is asked.
type Azure struct {
	// Version is the api-version. With a date, such as 2024-10-21, paths are in
	// the old style (/openai/deployments/NAME/…); without one they are in the
	// new (/openai/v1/…).
	Version string
}

// old tells whether paths have the deployment in them.
func (a *Azure) old() bool { return a != nil && len(a.Version) >= 10 && a.Version[4] == '-' }

// The schemes of addresses that Parse reads.
const (
	Scheme      = "openai"
	AzureScheme = "azure-openai"
)

const publicHost = "api.openai.com"

// Parse makes the configuration of an address:
//
//	openai://gpt-5-mini                          at api.openai.com
//	openai+http://127.0.0.1:11434/llama3         Ollama
//	openai://host/model?base=/custom/v1          below another path than /v1
//	azure-openai://RESOURCE/DEPLOYMENT           or a whole host name as resource
//	azure-openai://RESOURCE/DEPLOYMENT?api-version=2024-10-21
//
// Other options are usage=off (NoUsage) and encoding=float (Floats).
func Parse(a llm.Address) (Config, error) {
	c := Config{Model: a.Model}
	scheme := "https://"
	if a.Plain {
		scheme = "http://"
	}
	base := "/v1"
	if a.Options.Has("base") {
		base = strings.TrimSuffix(a.Options.Get("base"), "/")
	}
	switch a.Provider {
	case Scheme:
		host := a.Host
		if host == "" {
			host = publicHost
		}
		c.URL, c.Compatible = scheme+host+base, host != publicHost
	case AzureScheme:
		host := a.Host
		if host == "" {
			return Config{}, fault.New(fault.Invalid, "the address %q names no resource of Azure", a).Hint("write azure-openai://RESOURCE/DEPLOYMENT")
		}
		if !strings.ContainsAny(host, ".:") && host != "localhost" {
			host += ".openai.azure.com"
		}
		c.URL, c.Azure = scheme+host, &Azure{Version: a.Options.Get("api-version")}
	default:
		return Config{}, fault.New(fault.Invalid, "%q is no address of OpenAI's protocol", a)
	}
	c.NoUsage, c.Floats = a.Options.Get("usage") == "off", a.Options.Get("encoding") == "float"
	return c, checkOptions(a.Options)
}

func checkOptions(options url.Values) error {
	var l fault.List
	for name, values := range options {
		var ok bool
		switch name {
		case "base":
			ok = values[0] == "" || strings.HasPrefix(values[0], "/")
		case "api-version":
			ok = values[0] != ""
		case "usage":
			ok = values[0] == "off" || values[0] == "on"
		case "encoding":
			ok = values[0] == "float" || values[0] == "base64"
		}
		if !ok || len(values) > 1 {
			l.Add(fault.New(fault.Invalid, "the address has an option %s=%s that means nothing", name, values[0]).
				Hint("the options are base=/path, api-version, usage=off and encoding=float"))
		}
	}
	return l.Err()
}

// Provider is a deployment that is asked. It meets llm.Chat, llm.Embedder and
// io.Closer.
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

// entraScope is what a token is asked for to use Azure OpenAI.
const entraScope = "https://cognitiveservices.azure.com/.default"

func (p *Provider) sign(ctx context.Context, h http.Header) (secret string, err error) {
	for name, values := range p.config.Headers {
		h[name] = values
	}
	switch {
	case p.config.Key != nil:
		if secret, err = p.config.Key(ctx); err != nil {
			return "", err
		}
		if p.config.Azure != nil {
			h.Set("Api-Key", secret)
		} else {
			h.Set("Authorization", "Bearer "+secret)
		}
	case p.config.Azure != nil && p.config.Token != nil:
		if secret, err = p.config.Token(ctx, entraScope); err != nil {
			return "", err
		}
		h.Set("Authorization", "Bearer "+secret)
	}
	return secret, nil
}

// path is where an operation of a model is.
func (p *Provider) path(operation, model string) string {
	a := p.config.Azure
	if a == nil {
		return operation
	}
	path := "/openai/v1" + operation
	if a.old() {
		path = "/openai/deployments/" + model + operation
	}
	if a.Version != "" {
		path += "?api-version=" + url.QueryEscape(a.Version)
	}
	return path
}

// checkModel keeps a deployment's name from being a path of its own.
func (p *Provider) checkModel(model string) error {
	switch {
	case model == "":
		return fault.New(fault.Invalid, "no model is named")
	case p.config.Azure.old() && (strings.ContainsAny(model, "/?#\\%") || strings.HasPrefix(model, ".")):
		return fault.New(fault.Invalid, "%q is no name of a deployment", model)
	}
	return nil
}
