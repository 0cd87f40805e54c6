package source

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/guard/egress"
)

// Web reads pages of one web site: those that are listed, or those of its
// sitemap. What robots.txt forbids is not read, and requests to the host keep a
// distance.
type Web struct {
	config WebConfig
	client *http.Client
	site   *url.URL

	mu     sync.Mutex
	robots *robots
	next   time.Time // when the host may be asked again
}

// WebConfig says what to read, and how patiently.
type WebConfig struct {
	// From is a sitemap, or one page.
	From string
	// Pages are more addresses, absolute or below the site.
	Pages  []string
	Names  Names // over the paths of addresses, without the first slash
	Secret string
	Policy egress.Policy
	// Options are those of the client beyond the policy, for tests; MaxBody and
	// Timeout have their own defaults.
	Options egress.Options
	// Pace is the least time between two requests; 200 ms when 0.
	Pace time.Duration
	// Agent names the program.
	Agent string
}

// Bounds of a web site.
const (
	webPage       = 64 << 20 // bytes of a page
	webTime       = 2 * time.Minute
	webPace       = 200 * time.Millisecond
	webSlowest    = 10 * time.Second // of what robots.txt may ask for
	webPages      = 200_000
	webAgent      = "Leat"
	maxRetryAfter = 30 * time.Second
)

// NewWeb opens a web site. Nothing is asked yet.
func NewWeb(c WebConfig) (*Web, error) {
	u, err := url.Parse(c.From)
	if err != nil {
		return nil, fault.New(fault.Invalid, "%q is no address of a page", c.From).Hint("write https://host/sitemap.xml")
	}
	if err := c.Policy.CheckURL(u); err != nil {
		return nil, err
	}
	if c.Pace <= 0 {
		c.Pace = webPace
	}
	if c.Agent == "" {
		c.Agent = webAgent
	}
	o := c.Options
	if o.MaxBody == 0 {
		o.MaxBody = webPage
	}
	if o.Timeout == 0 {
		o.Timeout = webTime
	}
	return &Web{config: c, client: egress.Client(c.Policy, o), site: u}, nil
}

// List lists the addresses of the site. Which of them changed is known only
// once they are asked for.
func (w *Web) List(ctx context.Context, _ string, found func(Item) error) (string, error) {
	rules, err := w.rules(ctx)
	if err != nil {
		return "", err
	}
	seen := map[string]bool{}
	take := func(address string, modified time.Time) error {
		u, ok := w.inside(address)
		if !ok || seen[u.String()] {
			return nil
		}
		if !rules.allows(u) || !w.config.Names.Wanted(strings.TrimPrefix(u.Path, "/")) {
			return nil
		}
		if len(seen) >= webPages {
			return fault.New(fault.TooLarge, "the site %q has more than %d pages", w.site.Host, webPages)
		}
		seen[u.String()] = true
		return found(Item{ID: u.String(), Name: u.Path, URL: u.String(), Size: -1, Modified: modified})
	}
	if isSitemap(w.site) {
		if err := w.sitemap(ctx, w.site, 0, take); err != nil {
			return "", err
		}
	} else if err := take(w.site.String(), time.Time{}); err != nil {
		return "", err
	}
	for _, page := range w.config.Pages {
		if _, ok := w.inside(page); !ok {
			return "", fault.New(fault.Invalid, "the page %q is not one of %s", page, w.site.Host).Hint("make a source of each site")
		}
		if err := take(page, time.Time{}); err != nil {
			return "", err
		}
	}
	return "", nil
}

// inside reads an address of the site; false for one of another.
func (w *Web) inside(address string) (*url.URL, bool) {
	u, err := w.site.Parse(strings.TrimSpace(address))
	if err != nil || u.Scheme != w.site.Scheme || !strings.EqualFold(u.Host, w.site.Host) || u.User != nil {
		return nil, false
	}
	u.Fragment, u.RawFragment = "", ""
	if u.Path == "" {
		u.Path = "/"
	}
	return u, true
}

// Open asks for a page, and for its body only where it is not what it was.
func (w *Web) Open(ctx context.Context, it Item, known string) (Content, error) {
	u, ok := w.inside(it.ID)
	if !ok {
		return Content{}, fault.New(fault.Invalid, "%q is not a page of %s", it.ID, w.site.Host)
	}
	rules, err := w.rules(ctx)
	if err != nil {
		return Content{}, err
	}
	if !rules.allows(u) {
		return Content{}, fault.New(fault.NotFound, "robots.txt forbids %q", it.ID)
	}
	headers := http.Header{}
	if tag, ok := strings.CutPrefix(known, "etag "); ok {
		headers.Set("If-None-Match", tag)
	} else if at, ok := strings.CutPrefix(known, "at "); ok {
		headers.Set("If-Modified-Since", at)
	}
	answer, err := w.get(ctx, u, headers)
	if err != nil {
		return Content{}, err
	}
	if answer.StatusCode == http.StatusNotModified && len(headers) > 0 {
		_ = answer.Body.Close() // it has none
		return Content{Unchanged: true, Mark: known}, nil
	}
	return Content{Body: answer.Body, Mark: webMark(answer.Header), MIME: answer.Header.Get("Content-Type")}, nil
}

// webMark is what a page is asked for again by; "" where the server says
// nothing.
func webMark(h http.Header) string {
	if tag := h.Get("ETag"); tag != "" && len(tag) < 500 {
		return "etag " + tag
	}
	if at := h.Get("Last-Modified"); at != "" && len(at) < 100 {
		return "at " + at
	}
	return ""
}

// get asks for an address, in turn with others of the host. Any answer but 200
// and 304 is a fault.
func (w *Web) get(ctx context.Context, u *url.URL, headers http.Header) (*http.Response, error) {
	if err := w.wait(ctx); err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "%q is no address of a page", u)
	}
	for name, values := range headers {
		r.Header[name] = values
	}
	r.Header.Set("User-Agent", w.config.Agent)
	r.Header.Set("Accept", "text/html, application/xhtml+xml, text/markdown, text/plain, application/pdf, application/xml;q=0.9, */*;q=0.5")
	if w.config.Secret != "" {
		r.Header.Set("Authorization", "Bearer "+w.config.Secret)
	}
	answer, err := w.client.Do(r)
	if err != nil {
		return nil, egress.Clean(err)
	}
	if answer.StatusCode == http.StatusOK || answer.StatusCode == http.StatusNotModified {
		return answer, nil
	}
	_ = answer.Body.Close() // an error's page is nobody's document
	if answer.StatusCode == http.StatusTooManyRequests || answer.StatusCode == http.StatusServiceUnavailable {
		w.hold(answer.Header.Get("Retry-After"))
	}
	return nil, statusFault(answer.StatusCode, u)
}

func statusFault(status int, u *url.URL) error {
	switch {
	case status == http.StatusNotFound || status == http.StatusGone:
		return fault.New(fault.NotFound, "%q is not there", u.Path)
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return fault.New(fault.Forbidden, "%q may not be read (%d)", u.Path, status).Hint("name what opens it by secret:")
	case status == http.StatusTooManyRequests || status >= 500:
		return fault.New(fault.Unavailable, "%q answered with status %d", u.Path, status)
	}
	return fault.New(fault.Invalid, "%q answered with status %d", u.Path, status)
}

// wait keeps the distance between two requests.
func (w *Web) wait(ctx context.Context) error {
	w.mu.Lock()
	pace := w.config.Pace
	if w.robots != nil {
		pace = max(pace, min(w.robots.delay, webSlowest))
	}
	now := time.Now()
	at := w.next
	if at.Before(now) {
		at = now
	}
	w.next = at.Add(pace)
	w.mu.Unlock()
	if at.Equal(now) {
		return ctx.Err()
	}
	timer := time.NewTimer(at.Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hold lets the host alone for as long as it asks.
func (w *Web) hold(after string) {
	seconds, err := strconv.Atoi(after)
	if err != nil || seconds < 0 {
		seconds = 1
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if until := time.Now().Add(min(time.Duration(seconds)*time.Second, maxRetryAfter)); until.After(w.next) {
		w.next = until
	}
}

// rules are those of the site's robots.txt, asked for once.
func (w *Web) rules(ctx context.Context) (*robots, error) {
	w.mu.Lock()
	known := w.robots
	w.mu.Unlock()
	if known != nil {
		return known, nil
	}
	answer, err := w.get(ctx, &url.URL{Scheme: w.site.Scheme, Host: w.site.Host, Path: "/robots.txt"}, nil)
	var rules *robots
	switch {
	case err == nil:
		defer answer.Body.Close()
		// What is beyond the bound of a robots.txt does not count.
		text, rerr := io.ReadAll(io.LimitReader(answer.Body, maxRobots))
		if rerr != nil {
			return nil, egress.Clean(rerr)
		}
		rules = parseRobots(string(text), w.config.Agent)
	case fault.Is(err, fault.NotFound), fault.Is(err, fault.Invalid):
		rules = &robots{} // the site has no rules
	default:
		return nil, err // rules that cannot be read are not taken for none
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.robots = rules
	return rules, nil
}

// Close ends what is open.
func (w *Web) Close() error {
	w.client.CloseIdleConnections()
	return nil
}
