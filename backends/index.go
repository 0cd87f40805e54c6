package backends

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/guard/egress"
	"github.com/leat-ai/leat/guard/secret/azure"
	"github.com/leat-ai/leat/store/blob"
	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/store/index/azuresearch"
	"github.com/leat-ai/leat/store/index/embedded"
	indexpostgres "github.com/leat-ai/leat/store/index/postgres"
)

// IndexConfig says where the index of a knowledge is.
type IndexConfig struct {
	Address string // embedded, postgres://…, azure-search://…
	Secret  string // of the address; "" where there is none
	Name    string // of the index among others of the same server
	Folder  string // of the embedded one
	// Policy says which services may be asked.
	Policy egress.Policy
}

// Index opens the index of a knowledge.
func Index(ctx context.Context, c IndexConfig) (index.Index, error) {
	if c.Address == "" || c.Address == "embedded" {
		return embedded.Open(ctx, embedded.Config{Path: c.Folder})
	}
	switch scheme, service, _ := strings.Cut(c.Address, "://"); scheme {
	case "azure-search":
		to, err := azureSearch(c, service)
		if err != nil {
			return nil, err
		}
		return azuresearch.Open(ctx, to)
	case "postgres", "postgresql":
		address, err := withPassword(c.Address, c.Secret)
		if err != nil {
			return nil, err
		}
		return indexpostgres.Open(ctx, indexpostgres.Config{URL: address, Schema: schemaOf(c.Name)})
	}
	return nil, fault.New(fault.Unsupported, "an index cannot be at %s", c.Address).Hint("use embedded, postgres://HOST/DATABASE or azure-search://SERVICE")
}

// schemaOf names the schema of an index; PostgreSQL takes names of 63 bytes.
func schemaOf(name string) string {
	const prefix, most = "leat_index_", 63
	if len(prefix)+len(name) <= most {
		return prefix + name
	}
	digest := string(blob.DigestOf([]byte(name)))[:16]
	return prefix + name[:most-len(prefix)-17] + "_" + digest
}

// azureSearch is a service of Azure AI Search by its name, or by a whole host,
// and an index named as its rules want. Without a secret the identity of the
// machine asks, and asks Azure alone.
func azureSearch(c IndexConfig, service string) (azuresearch.Config, error) {
	if !strings.Contains(service, ".") {
		service += ".search.windows.net"
	}
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(c.Name))
	for strings.Contains(name, "--") {
		name = strings.ReplaceAll(name, "--", "-")
	}
	to := azuresearch.Config{Endpoint: "https://" + service, Name: strings.Trim(name, "-"),
		Client: egress.Client(c.Policy, egress.Options{Redirects: -1, Timeout: time.Minute})}
	if c.Secret != "" {
		to.Key = func(context.Context) (string, error) { return c.Secret, nil }
		return to, nil
	}
	if !ofAzureSearch(to.Endpoint) {
		return azuresearch.Config{}, fault.New(fault.Invalid, "the index at %.150q is not at a host of Azure AI Search, and has no secret", c.Address).
			Hint("name an admin key by secret:, or write azure-search://NAME: the identity of the machine is shown to Azure alone")
	}
	tokens := azure.New(azure.Config{})
	to.Token = func(ctx context.Context) (string, error) {
		return tokens.Token(ctx, azure.Identity{}, "https://search.azure.com/.default")
	}
	return to, nil
}

// ofAzureSearch tells whether the host of an endpoint is that of a service of
// Azure AI Search, in its public cloud or a sovereign one. The host is the one
// that will be dialled, not the text, which may end in anything.
func ofAzureSearch(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	host := strings.ToLower(u.Hostname())
	return slices.ContainsFunc([]string{".search.windows.net", ".search.azure.us", ".search.azure.cn"}, func(domain string) bool {
		name, ours := strings.CutSuffix(host, domain)
		return ours && name != ""
	})
}

// withPassword puts a password into an address, which may have none itself. A
// secret that is a whole address takes its place.
func withPassword(address, secret string) (string, error) {
	if strings.Contains(secret, "://") || secret == "" {
		return cmp.Or(secret, address), nil
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", fault.New(fault.Invalid, "the address of the index cannot be read").Hint("write postgres://user@host:5432/database")
	}
	u.User = url.UserPassword(u.User.Username(), secret)
	return u.String(), nil
}
