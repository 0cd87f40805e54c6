package egress

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/fault"
)

const (
	defaultMaxBody   = 64 << 20
	defaultRedirects = 5
	headerTimeout    = 30 * time.Second
	maxHeader        = 64 << 10
)

// Options bound what a client does. Zero values mean the defaults.
type Options struct {
	// MaxBody bounds a response's body, in bytes; 64 MiB.
	MaxBody int64
	// Redirects bounds how many are followed; 5. Negative: none.
	Redirects int
	// Timeout bounds a request with the reading of its answer. None when 0:
	// then the context does, and a connection that is silent is ended anyway.
	Timeout time.Duration
	// Stall is how long a connection may be silent; 2 minutes.
	Stall time.Duration
	// Headers is how long a server may take until its answer begins; 30 s.
	Headers time.Duration
	// Connections bounds how many a host has at once, further requests wait;
	// 64. Where it is set, as many are kept for the next requests; otherwise
	// 4.
	Connections int
	// Resolver finds addresses; nil: the system's.
	Resolver Resolver
	// Roots verify certificates; nil: the system's.
	Roots *x509.CertPool
}

// Client returns an HTTP client that keeps to a policy, redirects included.
// Its errors are faults under a *url.Error, which has the whole address: Clean
// takes that off. Close its idle connections when it is not used any more.
func Client(p Policy, o Options) *http.Client {
	return &http.Client{
		Transport: Transport(p, o), Timeout: o.Timeout,
		CheckRedirect: func(r *http.Request, via []*http.Request) error { return redirect(p, o, r, via) },
	}
}

// Transport returns the lower half of Client, which follows no redirects.
// What is around it must not follow them without the checks of Client.
func Transport(p Policy, o Options) http.RoundTripper {
	idle, allIdle := 4, 32
	if o.Connections > 0 {
		idle, allIdle = o.Connections, 0 // a host's bound is enough
	}
	return &transport{policy: p, maxBody: cmp.Or(o.MaxBody, defaultMaxBody), inner: &http.Transport{
		// No proxy: it would dial for us, and whatever it likes.
		Proxy:                  nil,
		DialContext:            Dialer{Policy: p, Resolver: o.Resolver, Stall: o.Stall}.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.Roots},
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    dialTimeout,
		ResponseHeaderTimeout:  cmp.Or(o.Headers, headerTimeout),
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true,
		MaxIdleConns:           allIdle,
		MaxIdleConnsPerHost:    idle,
		MaxConnsPerHost:        cmp.Or(o.Connections, 64),
		IdleConnTimeout:        time.Minute,
	}}
}

type transport struct {
	policy  Policy
	maxBody int64
	inner   *http.Transport
}

// RoundTrip sends one request.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := checkURL(t.policy, r.URL); err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // it is not going to be read
		}
		return nil, err
	}
	answer, err := t.inner.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if answer.ContentLength > t.maxBody && r.Method != http.MethodHead {
		_ = answer.Body.Close() // it is not going to be read
		return nil, tooLarge(t.maxBody)
	}
	answer.Body = &bounded{answer.Body, t.maxBody}
	return answer, nil
}

// CloseIdleConnections closes what no request uses.
func (t *transport) CloseIdleConnections() { t.inner.CloseIdleConnections() }

// CheckURL tells whether an address is one that a client of the policy would
// ask at all, before a name is resolved: https, or http to a host that is
// allowed; no password in it.
func (p Policy) CheckURL(u *url.URL) error { return checkURL(p, u) }

func checkURL(p Policy, u *url.URL) error {
	host := u.Hostname()
	switch {
	case host == "" || u.Opaque != "":
		return fault.New(fault.Invalid, "the address has no host").Hint("write https://host/path")
	case u.User != nil:
		return fault.New(fault.Invalid, "the address has a user or password in it").Hint("name a secret instead")
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && p.AllowsPlain(host):
		return nil
	case u.Scheme == "http":
		return fault.New(fault.Forbidden, "%q is asked without TLS", host).
			Hint("use https, or let an operator allow the host for this server")
	}
	return fault.New(fault.Unsupported, "addresses of %q are not asked", u.Scheme).Hint("use https")
}

// redirect checks one that is about to be followed. The dialled address is
// checked like any other.
func redirect(p Policy, o Options, r *http.Request, via []*http.Request) error {
	if most := cmp.Or(o.Redirects, defaultRedirects); len(via) > max(most, 0) {
		return fault.New(fault.Unavailable, "%q sends on more than %d times", via[0].URL.Hostname(), max(most, 0))
	}
	if err := checkURL(p, r.URL); err != nil {
		return err
	}
	// The first address may be told to nobody: its query can be a secret.
	r.Header.Del("Referer")
	for _, earlier := range via {
		if origin(earlier.URL) != origin(r.URL) {
			dropCredentials(r.Header)
			break
		}
	}
	return nil
}

// origin is what a credential was given for.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

// dropCredentials keeps only headers that are known to be none: who adds one
// of its own name must not have to add it to a list here.
func dropCredentials(h http.Header) {
	for name := range h {
		switch name {
		case "Accept", "Accept-Encoding", "Accept-Language", "Content-Type", "If-Match", "If-None-Match", "If-Range", "Range", "User-Agent":
		default:
			h.Del(name)
		}
	}
}

// bounded is a body that ends in an error where it is too long.
type bounded struct {
	io.ReadCloser
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, tooLarge(0)
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n - 1, tooLarge(0)
	}
	return n, err
}

func tooLarge(bound int64) error {
	if bound > 0 {
		return fault.New(fault.TooLarge, "the answer is larger than %d bytes", bound)
	}
	return fault.New(fault.TooLarge, "the answer is larger than it may be")
}

// Clean takes the address off an error of a Client, and makes a fault of what
// is none: Unavailable, or what the context says.
func Clean(err error) error {
	if err == nil {
		return nil
	}
	if asked, ok := errors.AsType[*url.Error](err); ok {
		err = asked.Err
	}
	if fault.KindOf(err) != fault.Internal {
		return err
	}
	return fault.Wrap(err, fault.Unavailable, "the server cannot be asked")
}
