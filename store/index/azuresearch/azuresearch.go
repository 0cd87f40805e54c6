// Package azuresearch keeps the passages of a Knowledge in Azure AI Search: it
// translates the contract of package index into the service's REST interface
// of 2024-07-01.
//
// A Knowledge has two indexes there. One holds the passages, each with the
// snapshots that it is in and with who may read it; the other, of the same name
// with "-control" behind it, the list of snapshots and the readers of
// documents. Ranking is the service's: its analyzers cut words, its BM25 (with
// the k1 and b of the first build) scores them. Access, filters and the snapshot are
// the filter of a query, applied before anything is ranked.
//
// The service shows a change some time after it has acknowledged it. Commit,
// Grant, Withdraw and Restore therefore return only when queries see what they
// changed, and fail as Unavailable after Config.Visible. Nothing there is a
// transaction: a build that is killed leaves passages that no snapshot names
// and no query finds; one build of a Knowledge should run at a time.
//
// What differs from the other indexes: which words match is the service's
// business, Explain has no terms, integers beyond 2⁵³ compare with doubles as
// doubles do, and ids, fields and readers must be UTF-8.
package azuresearch

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/resilience"
	"github.com/leat-ai/leat/store/index"
)

// Config says where a service is and who asks.
type Config struct {
	// Endpoint is https://NAME.search.windows.net.
	Endpoint string
	// Name is the index's: lower case letters, digits and dashes, at most 120.
	Name string
	// Key returns an admin key of the service, for each request anew, and Token
	// a token of Entra ID. One of them is there.
	Key, Token func(ctx context.Context) (string, error)
	// Client makes the requests: one that guards which addresses are dialled.
	Client *http.Client
	// Visible is how long a change is waited for until queries see it: a minute
	// when 0.
	Visible time.Duration
	// Poll is how soon it is looked the first time whether a change is seen: 50
	// ms when 0. Waits double, up to two seconds.
	Poll time.Duration
	// Retry says how refused requests are tried again.
	Retry resilience.Config
}

// Validate reports every mistake of the configuration.
func (c Config) Validate() error {
	var l fault.List
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.User != nil {
		l.Add(fault.New(fault.Invalid, "the endpoint of Azure AI Search is no address of a service").Hint("write https://NAME.search.windows.net"))
	}
	if !validName(c.Name) {
		l.Add(fault.New(fault.Invalid, "an index in Azure AI Search cannot be called %.150q", c.Name).Hint("use lower case letters, digits and single dashes"))
	}
	if (c.Key == nil) == (c.Token == nil) {
		l.Add(fault.New(fault.Invalid, "Azure AI Search needs a key or a token").Hint("name an admin key by secret:"))
	}
	if c.Client == nil || c.Visible < 0 || c.Poll < 0 {
		l.Add(fault.New(fault.Invalid, "Azure AI Search needs a client, and a time of waiting that is not negative"))
	}
	if err := c.Retry.Validate(); err != nil {
		l.Add(err)
	}
	return l.Err()
}

func validName(name string) bool {
	if name == "" || len(name) > 120 || strings.Contains(name, "--") || strings.HasPrefix(name, "-") || strings.HasSuffix(name, "-") {
		return false
	}
	return strings.IndexFunc(name, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' }) < 0
}

// Index is an open index. It meets index.Index.
type Index struct {
	service  *service
	passages string // names of the two indexes
	control  string
	visible  time.Duration
	poll     time.Duration
}

var _ index.Index = (*Index)(nil)

// Open makes the index of control where there is none. That of the passages is
// made by the first build that puts some, which tells the length of vectors.
func Open(ctx context.Context, c Config) (*Index, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	caller, err := resilience.NewCaller("azure-search", c.Retry)
	if err != nil {
		return nil, err
	}
	x := &Index{
		service:  &service{config: c, base: strings.TrimSuffix(c.Endpoint, "/"), caller: caller},
		passages: c.Name, control: c.Name + "-control", visible: cmp.Or(c.Visible, time.Minute), poll: cmp.Or(c.Poll, 50*time.Millisecond),
	}
	there, err := x.service.exists(ctx, x.control)
	if err != nil || there {
		return x, err
	}
	return x, x.service.define(ctx, controlDefinition(x.control))
}

// Close gives nothing back: connections belong to the client.
func (x *Index) Close() error { return nil }
