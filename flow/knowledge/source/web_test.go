package source_test

import (
	"compress/gzip"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/knowledge/source"
	"github.com/leat-ai/leat/guard/egress"
)

// site is a web site on this machine, which the policy allows.
func site(t *testing.T, handler http.HandlerFunc) (address string, policy egress.Policy) {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL, egress.Policy{Hosts: []string{"127.0.0.1"}}
}

func web(t *testing.T, c source.WebConfig) *source.Web {
	t.Helper()
	c.Pace = time.Millisecond
	s, err := source.NewWeb(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestSitemap(t *testing.T) {
	var asked atomic.Int64
	address := ""
	address, policy := site(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		switch r.URL.Path {
		case "/robots.txt":
			fmt.Fprint(w, "User-agent: other\nDisallow: /\n\nUser-agent: *\nDisallow: /private\nAllow: /private/open\n")
		case "/sitemap.xml":
			fmt.Fprintf(w, `<?xml version="1.0"?><sitemapindex><sitemap><loc>%s/a.xml</loc></sitemap><sitemap><loc>/b.xml.gz</loc></sitemap>
				<sitemap><loc>http://elsewhere.example/c.xml</loc></sitemap></sitemapindex>`, address)
		case "/a.xml":
			fmt.Fprintf(w, `<urlset><url><loc>%[1]s/one</loc><lastmod>2026-01-02</lastmod></url><url><loc>%[1]s/private/two</loc></url>
				<url><loc>%[1]s/private/open/three</loc></url><url><loc>https://elsewhere.example/four</loc></url><url><loc>%[1]s/one#part</loc></url></urlset>`, address)
		case "/b.xml.gz":
			z := gzip.NewWriter(w)
			fmt.Fprint(z, `<urlset><url><loc>/five</loc></url><url><loc>/drafts/six</loc></url></urlset>`)
			z.Close()
		case "/one":
			w.Header().Set("ETag", `"v1"`)
			if r.Header.Get("If-None-Match") == `"v1"` {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<p>One</p>")
		default:
			http.NotFound(w, r)
		}
	})
	s := web(t, source.WebConfig{From: address + "/sitemap.xml", Policy: policy, Names: source.Names{Exclude: []string{"drafts/**"}}})
	ids, items, _ := listed(t, s, "")
	same(t, "pages", ids, []string{address + "/five", address + "/one", address + "/private/open/three"})
	c, err := s.Open(t.Context(), items[address+"/one"], "")
	if err != nil || c.MIME != "text/html" || c.Mark != `etag "v1"` {
		t.Fatalf("%+v %v", c, err)
	}
	c.Body.Close()
	if c, err = s.Open(t.Context(), items[address+"/one"], c.Mark); err != nil || !c.Unchanged {
		t.Errorf("%+v %v", c, err)
	}
	if _, err := s.Open(t.Context(), items[address+"/five"], ""); !fault.Is(err, fault.NotFound) {
		t.Errorf("a page that is gone: %v", err)
	}
	before := asked.Load()
	if _, err := s.Open(t.Context(), source.Item{ID: address + "/private/two"}, ""); err == nil || asked.Load() != before {
		t.Errorf("what robots.txt forbids is asked for: %v", err)
	}
	if _, err := s.Open(t.Context(), source.Item{ID: "http://127.0.0.1:1/x"}, ""); !fault.Is(err, fault.Invalid) {
		t.Errorf("a page of another site: %v", err)
	}
}

func TestPagesOfAList(t *testing.T) {
	address, policy := site(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/robots.txt" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, "<p>"+r.URL.Path+"</p>")
	})
	s := web(t, source.WebConfig{From: address + "/", Pages: []string{"/a", address + "/b"}, Policy: policy})
	ids, _, _ := listed(t, s, "")
	same(t, "pages", ids, []string{address + "/", address + "/a", address + "/b"})
	other := web(t, source.WebConfig{From: address, Pages: []string{"https://elsewhere.example/"}, Policy: policy})
	if _, err := other.List(t.Context(), "", func(source.Item) error { return nil }); !fault.Is(err, fault.Invalid) {
		t.Errorf("a page of another site: %v", err)
	}
}

// A listing that breaks off is no shorter listing, and rules that cannot be
// read are not taken for none.
func TestBrokenSitesAreNotEmpty(t *testing.T) {
	for name, broken := range map[string]http.HandlerFunc{
		"no sitemap":          func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) },
		"a page of HTML":      func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html><body>Welcome</body></html>") },
		"cut off":             func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<urlset><url><loc>/a</loc></url><url>") },
		"nothing":             func(http.ResponseWriter, *http.Request) {},
		"a server in despair": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"itself": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "<sitemapindex><sitemap><loc>/sitemap.xml</loc></sitemap></sitemapindex>")
		},
	} {
		address, policy := site(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/robots.txt" {
				http.NotFound(w, r)
				return
			}
			broken(w, r)
		})
		s := web(t, source.WebConfig{From: address + "/sitemap.xml", Policy: policy})
		if _, err := s.List(t.Context(), "", func(source.Item) error { return nil }); err == nil {
			t.Errorf("%s: listed", name)
		}
	}
	address, policy := site(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	s := web(t, source.WebConfig{From: address + "/page", Policy: policy})
	if _, err := s.List(t.Context(), "", func(source.Item) error { return nil }); !fault.Is(err, fault.Unavailable) {
		t.Errorf("rules that cannot be read: %v", err)
	}
}

// canary counts connections to where nobody may get.
func canary(t *testing.T) (port string, hits *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	hits = new(atomic.Int64)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			hits.Add(1)
			_ = conn.Close()
		}
	}()
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port, hits
}

// turning resolves a name to a public address once, and to this machine from
// then on; any other name it resolves to this machine at once.
type turning struct{ asked atomic.Int64 }

func (r *turning) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if host == "turning.example" && r.asked.Add(1) == 1 {
		return []netip.Addr{netip.MustParseAddr("192.0.2.1")}, nil
	}
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

func hostile(port string) []string {
	var all []string
	for _, host := range []string{"127.0.0.1", "localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
		"0.0.0.0", "[::]", "169.254.169.254", "[fe80::1]", "10.0.0.1", "192.168.0.1", "172.16.0.1", "100.100.100.200", "[fd00:ec2::254]", "[64:ff9b::7f00:1]",
		"turning.example", "inside.example", "metadata.google.internal", "127.0.0.1.nip.example"} {
		all = append(all, host+":"+port)
	}
	return all
}

func TestNoSourceReachesInside(t *testing.T) {
	port, hits := canary(t)
	resolver := &turning{}
	for _, host := range hostile(port) {
		for _, scheme := range []string{"http", "https"} {
			s, err := source.NewWeb(source.WebConfig{From: scheme + "://" + host + "/sitemap.xml", Options: egress.Options{Resolver: resolver}})
			if err != nil {
				continue
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			if _, err := s.List(ctx, "", func(source.Item) error { return nil }); err == nil {
				t.Errorf("%s://%s is listed", scheme, host)
			}
			cancel()
		}
		for _, from := range []string{"git+https://" + host + "/x.git", "git+http://" + host + "/x.git", "git+ssh://git@" + host + "/x.git"} {
			g, err := source.NewGit(source.GitConfig{From: from, Resolver: resolver, Root: t.TempDir(), Folder: t.TempDir()})
			if err != nil {
				continue
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			if _, err := g.List(ctx, "", func(source.Item) error { return nil }); err == nil {
				t.Errorf("%s is listed", from)
			}
			cancel()
		}
	}
	// A site that may be asked sends elsewhere: by a redirect of its sitemap, of
	// a page, of its robots.txt.
	for _, from := range []string{"/robots.txt", "/sitemap.xml", "/page"} {
		address, _ := site(t, func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case from:
				http.Redirect(w, r, "http://inside.example:"+port+"/", http.StatusFound)
			case "/sitemap.xml":
				fmt.Fprintf(w, "<urlset><url><loc>/page</loc></url><url><loc>http://inside.example:%s/x</loc></url></urlset>", port)
			default:
				http.NotFound(w, r)
			}
		})
		s := web(t, source.WebConfig{From: address + "/sitemap.xml", Policy: egress.Policy{Hosts: []string{"127.0.0.1"}}, Options: egress.Options{Resolver: resolver}})
		_, err := s.List(t.Context(), "", func(it source.Item) error {
			c, err := s.Open(t.Context(), it, "")
			if err == nil {
				c.Body.Close()
				t.Errorf("%s is read", it.ID)
			}
			return nil
		})
		if from != "/page" && err == nil {
			t.Errorf("the redirect of %s is followed", from)
		}
	}
	if n := hits.Load(); n != 0 {
		t.Fatalf("the canary was reached %d times", n)
	}
}

func FuzzRobots(f *testing.F) {
	f.Add("User-agent: *\nDisallow: /a*b$\nAllow: /\n", "/axxb")
	f.Add("user-agent: leat\nuser-agent: *\ncrawl-delay: 1e9\ndisallow:", "/")
	f.Fuzz(func(_ *testing.T, text, path string) {
		address, policy := "http://127.0.0.1:1", egress.Policy{Hosts: []string{"127.0.0.1"}}
		if s, err := source.NewWeb(source.WebConfig{From: address + "/" + strings.TrimPrefix(path, "/"), Policy: policy}); err == nil {
			_ = s.Close()
		}
		source.RobotsAllow(text, path)
	})
}
