// Package https reads sources from web servers: https://host/path/file.csv.
//
// It is an ingest.Opener in flow/ingest. New makes one; backends puts it under
// the schemes https and http. Every request goes through guard/egress, so a
// source cannot be pointed at the network that Leat stands in unless an
// operator allows the host.
//
// What is promised:
//
//   - A file that is cut off is never taken for a whole one. A read that
//     breaks goes on where it broke, where the server lets it; what it goes on
//     with is what it began with, by the server's entity tag or by the hash.
//   - A file that changes between being listed and being read is a Conflict.
//   - The secret goes to the host that the source names, and nowhere else.
package https

import (
	"context"
	"crypto/x509"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/ingest"
	"github.com/leat-ai/leat/guard/egress"
)

// maxFile bounds a file, in bytes; what ingest bounds is usually less.
const maxFile = 1 << 40

// Config says whom to ask, and how patiently.
type Config struct {
	Policy egress.Policy
	// Resolver and Roots are those of egress.Options; nil: the system's.
	Resolver egress.Resolver
	Roots    *x509.CertPool
	// Attempts is how often a read that breaks is tried again without getting
	// further; 5 when 0.
	Attempts int
	// Wait is the pause before the first of them, which doubles; 200 ms when 0.
	Wait time.Duration
}

// Sources opens files of web servers. It is safe for many goroutines.
type Sources struct {
	client   *http.Client
	policy   egress.Policy
	attempts int
	wait     time.Duration
}

var _ ingest.Opener = (*Sources)(nil)

// New returns an opener that keeps to a policy.
func New(c Config) *Sources {
	s := &Sources{
		client:   egress.Client(c.Policy, egress.Options{MaxBody: maxFile, Resolver: c.Resolver, Roots: c.Roots}),
		policy:   c.Policy,
		attempts: c.Attempts, wait: c.Wait,
	}
	if s.attempts <= 0 {
		s.attempts = 5
	}
	if s.wait <= 0 {
		s.wait = 200 * time.Millisecond
	}
	return s
}

// List returns the one file that an address means. Its digest is the server's
// strong entity tag, or empty where there is none: then the content is hashed.
//
// A secret is sent as bearer token. One that begins with "?" is a signed query
// instead, such as the shared access signature of a storage account, and is
// added to the address.
func (s *Sources) List(ctx context.Context, address, secret string, options map[string]string) ([]ingest.Object, error) {
	if len(options) > 0 {
		return nil, fault.New(fault.Invalid, "a source over https has no options").Hint("it takes a secret and nothing else")
	}
	u, err := s.parse(address)
	if err != nil {
		return nil, err
	}
	f := fetch{sources: s, address: u, secret: secret}
	answer, err := f.describe(ctx)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	return []ingest.Object{{Name: u.String(), Size: sizeOf(answer), Digest: strongTag(answer)}}, nil
}

// Open reads a file that List returned.
func (s *Sources) Open(ctx context.Context, o ingest.Object, secret string, _ map[string]string) (io.ReadCloser, error) {
	u, err := s.parse(o.Name)
	if err != nil {
		return nil, err
	}
	return open(ctx, fetch{sources: s, address: u, secret: secret}, o)
}

// parse reads an address and refuses what can be seen to be wrong with it.
func (s *Sources) parse(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fault.New(fault.Invalid, "this is no address of a file").Hint("write https://host/path/file.csv")
	}
	if err := s.policy.CheckURL(u); err != nil {
		return nil, err
	}
	if strings.ContainsAny(u.Path, "*?[") {
		return nil, fault.New(fault.Unsupported, "an address over https means one file, %q looks like several", u.Path).
			Hint("web servers do not list their files: make a source of each")
	}
	for name := range u.Query() {
		if isSecret(name) {
			return nil, fault.New(fault.Invalid, "the address has a secret in it, %q", name).
				Hint("keep the query, with its ?, where secret: refers to, and leave it out of the address")
		}
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

// isSecret tells whether a parameter of a query is a secret by its name.
func isSecret(name string) bool {
	name = strings.ToLower(name)
	return slices.Contains([]string{"sig", "key", "apikey", "api_key", "api-key", "code", "auth"}, name) ||
		slices.ContainsFunc([]string{"token", "secret", "password", "signature", "credential"}, func(part string) bool { return strings.Contains(name, part) })
}

// fetch asks for one file.
type fetch struct {
	sources *Sources
	address *url.URL
	secret  string
}

// describe asks what a file is. The answer's body is not to be read.
func (f fetch) describe(ctx context.Context) (*http.Response, error) {
	answer, err := f.ask(ctx, http.MethodHead, nil)
	if err != nil {
		return nil, err
	}
	if !slices.Contains([]int{400, 403, 405, 501}, answer.StatusCode) {
		return answer, f.check(answer)
	}
	// Not every server knows HEAD, and a signed address may be signed for GET.
	_ = answer.Body.Close() // it has none
	if answer, err = f.ask(ctx, http.MethodGet, http.Header{"Range": {"bytes=0-0"}}); err != nil {
		return nil, err
	}
	return answer, f.check(answer)
}

func (f fetch) ask(ctx context.Context, method string, header http.Header) (*http.Response, error) {
	address := *f.address
	query, signed := strings.CutPrefix(f.secret, "?")
	if signed {
		address.RawQuery = strings.TrimPrefix(address.RawQuery+"&"+query, "&")
	}
	r, err := http.NewRequestWithContext(ctx, method, address.String(), nil)
	if err != nil {
		return nil, fault.New(fault.Invalid, "this is no address of a file").Hint("write https://host/path/file.csv")
	}
	for name, values := range header {
		r.Header[name] = values
	}
	r.Header.Set("Accept-Encoding", "identity") // ranges and sizes are those of the file
	if f.secret != "" && !signed {
		if strings.ContainsFunc(f.secret, func(r rune) bool { return r < ' ' || r > '~' }) {
			return nil, fault.New(fault.Invalid, "the secret of the source is no bearer token").Hint("it has characters that no header may have, such as a line break")
		}
		r.Header.Set("Authorization", "Bearer "+f.secret)
	}
	answer, err := f.sources.client.Do(r)
	return answer, egress.Clean(err)
}

// check makes a fault of an answer that is not the file, and closes it.
func (f fetch) check(answer *http.Response) error {
	switch answer.StatusCode {
	case http.StatusOK, http.StatusPartialContent:
		return nil
	case http.StatusRequestedRangeNotSatisfiable: // of an empty file, there is no first byte
		if total(answer) == 0 {
			return nil
		}
	}
	_ = answer.Body.Close() // it says what only the server's operator knows
	err := fault.New(kindOf(answer.StatusCode), "%q answers %s for %q", f.address.Hostname(), status(answer.StatusCode), f.address.Path)
	if answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden {
		return err.Hint("give the source a secret: a token, or a signed query that begins with ?")
	}
	return err
}

// status is a code with its standard words, not with those of the server.
func status(code int) string {
	return strings.TrimSpace(strconv.Itoa(code) + " " + http.StatusText(code))
}

func kindOf(status int) fault.Kind {
	switch {
	case status == http.StatusNotFound || status == http.StatusGone:
		return fault.NotFound
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return fault.Forbidden
	case status == http.StatusPreconditionFailed || status == http.StatusRequestedRangeNotSatisfiable:
		return fault.Conflict
	case status == http.StatusTooManyRequests:
		return fault.Limited
	case status >= 500 || status == http.StatusRequestTimeout:
		return fault.Unavailable
	}
	return fault.Invalid
}

// sizeOf is the size of the whole file that an answer is about, or -1.
func sizeOf(answer *http.Response) int64 {
	if answer.StatusCode == http.StatusOK {
		return answer.ContentLength
	}
	return total(answer)
}

// total reads the size of the file out of "Content-Range: bytes 0-9/100"; -1
// where it is not told.
func total(answer *http.Response) int64 {
	_, text, _ := strings.Cut(answer.Header.Get("Content-Range"), "/")
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// start reads the first number of a Content-Range; -1 where there is none.
func start(answer *http.Response) int64 {
	text, _ := strings.CutPrefix(answer.Header.Get("Content-Range"), "bytes ")
	text, _, _ = strings.Cut(text, "-")
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// strongTag is the entity tag of an answer when it is one that changes with
// every byte, or "".
func strongTag(answer *http.Response) string {
	tag := answer.Header.Get("ETag")
	if len(tag) < 3 || len(tag) > 200 || tag[0] != '"' || tag[len(tag)-1] != '"' {
		return ""
	}
	return tag
}
