package llm

import (
	"net/url"
	"strings"

	"github.com/leat-ai/leat/base/fault"
)

// Address names a model of a provider, as resources write it:
//
//	openai://api.openai.com/gpt-5-mini           provider://host/model
//	openai+http://127.0.0.1:11434/llama3:8b      in plain http
//	openai+http://gpu1:8000/meta-llama/Llama-3.1-8B-Instruct
//	azure-openai://RESOURCE/gpt-5-mini           the model is the deployment
//	openai://gpt-5-mini                          at the provider's own address
//	openai://host/model?base=/custom/v1          not below /v1
//
// All after the first slash is the model, which may have slashes and colons.
type Address struct {
	Provider string // "openai", "azure-openai", "anthropic", "cohere"…
	Plain    bool   // http, without TLS
	Host     string // with a port, where there is one; "": the provider's own
	Model    string
	Options  url.Values // what stands after the question mark
}

// ParseAddress reads an address; an Invalid fault says what is wrong with it.
func ParseAddress(text string) (Address, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return Address{}, fault.New(fault.Invalid, "%q is no address of a language model", text).
			Hint("write provider://host/model, such as openai://api.openai.com/gpt-5-mini")
	}
	var a Address
	a.Provider, a.Plain = strings.CutSuffix(scheme, "+http")
	rest, query, _ := strings.Cut(rest, "?")
	var err error
	if a.Options, err = url.ParseQuery(query); err != nil {
		return Address{}, fault.New(fault.Invalid, "the options of the address %q cannot be read", text)
	}
	if a.Host, a.Model, ok = strings.Cut(rest, "/"); !ok {
		a.Host, a.Model = "", rest
	}
	switch {
	case a.Provider == "" || strings.ContainsFunc(a.Provider, notLower):
		return Address{}, fault.New(fault.Invalid, "the address %q has no provider", text).
			Hint("write provider://host/model, such as openai://api.openai.com/gpt-5-mini")
	case a.Model == "":
		return Address{}, fault.New(fault.Invalid, "the address %q names no model", text).Hint("write provider://host/model")
	case strings.ContainsAny(a.Host, "@# \\"):
		return Address{}, fault.New(fault.Invalid, "the address of a language model has a host that is none").
			Hint("a key is named by `secret:`, never written into the address")
	case a.Plain && a.Host == "":
		return Address{}, fault.New(fault.Invalid, "the address %q is in plain http and names no host", text)
	}
	return a, nil
}

func notLower(r rune) bool { return (r < 'a' || r > 'z') && r != '-' }

// String writes the address as it is read.
func (a Address) String() string {
	var b strings.Builder
	b.WriteString(a.Provider)
	if a.Plain {
		b.WriteString("+http")
	}
	b.WriteString("://")
	if a.Host != "" {
		b.WriteString(a.Host + "/")
	}
	b.WriteString(a.Model)
	if len(a.Options) > 0 {
		b.WriteString("?" + a.Options.Encode())
	}
	return b.String()
}
