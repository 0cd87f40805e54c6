// Package anthropic asks language models over Anthropic's Messages protocol.
//
// It stands in llm/, below the contract. Parse makes a Config of an address,
// Open a Provider of that: an llm.Chat.
//
// The contract is modelled on OpenAI's protocol, so this is a translation.
// Instructions of the system go in front, whatever their place; what a tool
// answered becomes part of a user's message; the tokens of a prompt that a
// cache had, which Anthropic counts apart, count as its input. Thoughts come
// as Reasoning, and as "thinking_blocks" in MessageExtra, signed as they are:
// given back in a message's Extra they let the model go on thinking. Of
// Request.Extra the members that Anthropic knows itself are passed on, and
// "reasoning_effort" is translated. What would change the answer's shape and
// has no counterpart (several choices, log probabilities, audio, an answer in
// JSON of no schema) is an Unsupported fault.
package anthropic

import (
	"context"
	"net/http"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/llm"
)

// Config is one deployment of a model.
type Config struct {
	llm.Access
	// URL is where the protocol's paths begin: https://api.anthropic.com/v1.
	URL string
	// Model is asked for where a request names none.
	Model string
	// MaxTokens is how many tokens an answer may have where a request does not
	// say, which the protocol demands; 4,096 when 0.
	MaxTokens int
	// Headers are sent with each request, such as anthropic-beta.
	Headers http.Header
}

// Scheme is that of addresses which Parse reads.
const Scheme = "anthropic"

const publicHost = "api.anthropic.com"

// Parse makes the configuration of an address, such as
// anthropic://claude-sonnet-5 or anthropic://host/model?base=/custom/v1.
func Parse(a llm.Address) (Config, error) {
	if a.Provider != Scheme {
		return Config{}, fault.New(fault.Invalid, "%q is no address of Anthropic's protocol", a)
	}
	scheme, host, base := "https://", a.Host, "/v1"
	if a.Plain {
		scheme = "http://"
	}
	if host == "" {
		host = publicHost
	}
	for name, values := range a.Options {
		if name != "base" || values[0] != "" && !strings.HasPrefix(values[0], "/") {
			return Config{}, fault.New(fault.Invalid, "the address has an option %s=%s that means nothing", name, values[0]).Hint("the option is base=/path")
		}
		base = strings.TrimSuffix(values[0], "/")
	}
	return Config{URL: scheme + host + base, Model: a.Model}, nil
}

// Provider is a deployment that is asked. It meets llm.Chat and io.Closer.
type Provider struct {
	config Config
	server *llm.Server
}

// Open makes a provider. It asks nobody.
func Open(c Config) (*Provider, error) {
	if c.MaxTokens < 0 {
		return nil, fault.New(fault.Invalid, "an answer may have %d tokens", c.MaxTokens)
	}
	if c.MaxTokens == 0 {
		c.MaxTokens = 4096
	}
	p := &Provider{config: c}
	var err error
	p.server, err = llm.NewServer(c.URL, c.Access, p.sign)
	return p, err
}

// Close ends connections that no call uses.
func (p *Provider) Close() error { return p.server.Close() }

// version is the protocol's, which did not change since.
const version = "2023-06-01"

func (p *Provider) sign(ctx context.Context, h http.Header) (secret string, err error) {
	h.Set("Anthropic-Version", version)
	for name, values := range p.config.Headers {
		h[name] = values
	}
	if p.config.Key == nil {
		return "", nil
	}
	if secret, err = p.config.Key(ctx); err != nil {
		return "", err
	}
	h.Set("X-Api-Key", secret)
	return secret, nil
}

var _ llm.Chat = (*Provider)(nil)
