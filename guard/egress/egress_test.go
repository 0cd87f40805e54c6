package egress_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/guard/egress"
)

// canary listens where nobody may get to, and counts who does.
type canary struct {
	port string
	hits atomic.Int64
}

func newCanary(t *testing.T) *canary {
	t.Helper()
	c := new(canary)
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.hits.Add(1)
			conn.Close()
		}
	}()
	c.port = strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	return c
}

// obliging resolves as much as any resolver ever did: numbers in all the ways
// of old C libraries, and names that an attacker owns.
type obliging struct{ names map[string][]string }

func (o obliging) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if list, ok := o.names[strings.ToLower(strings.TrimSuffix(host, "."))]; ok {
		var found []netip.Addr
		for _, text := range list {
			found = append(found, netip.MustParseAddr(text))
		}
		return found, nil
	}
	if ip, ok := numbers(host); ok {
		return []netip.Addr{ip}, nil
	}
	return nil, &net.DNSError{Name: host, IsNotFound: true}
}

// numbers reads 2130706433, 0x7f.1, 0177.0.0.1 and the like.
func numbers(host string) (netip.Addr, bool) {
	parts := strings.Split(strings.TrimSuffix(host, "."), ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var ip uint32
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 0, 32)
		if err != nil {
			return netip.Addr{}, false
		}
		if i == len(parts)-1 {
			ip |= uint32(n)
			break
		}
		ip |= uint32(n&0xff) << (24 - 8*i)
	}
	return netip.AddrFrom4([4]byte{byte(ip >> 24), byte(ip >> 16), byte(ip >> 8), byte(ip)}), true
}

func hostile() obliging {
	return obliging{map[string][]string{
		"localhost": {"127.0.0.1", "::1"}, "localhost.localdomain": {"127.0.0.1"}, "localtest.example": {"127.0.0.1"},
		"six.example": {"::1"}, "mapped.example": {"::ffff:127.0.0.1"}, "both.example": {"10.0.0.1", "127.0.0.1"},
		"metadata.google.internal": {"169.254.169.254"}, "metadata.example": {"169.254.169.254"}, "wire.example": {"168.63.129.16"},
		"zero.example": {"0.0.0.0"}, "zero6.example": {"::"}, "private.example": {"10.1.2.3", "192.168.1.1", "172.16.0.1"},
		"127.0.0.1.nip.example": {"127.0.0.1"}, "ula.example": {"fd12:3456::1"}, "tunnel.example": {"2002:7f00:1::1"},
		"nat64.example": {"64:ff9b::7f00:1"}, "multicast.example": {"224.0.0.251"}, "broadcast.example": {"255.255.255.255"},
		"allowed.example": {"169.254.169.254"}, // named by the operator, and turned by whoever has its DNS
	}}
}

// payloads are hosts; the port of the canary comes behind them.
func payloads() []string {
	return []string{
		// Loopback in every writing.
		"127.0.0.1", "127.0.0.2", "127.1", "127.0.1", "127.255.255.254", "2130706433", "0x7f000001", "0x7F.0x0.0x0.0x1", "0x7f.1",
		"017700000001", "0177.0.0.1", "0177.0000.0000.0001", "0177.0.1", "127.0.0.1.", "127.0.0x1", "127.0.01", "00000177.0.0.1",
		"localhost", "LOCALHOST", "LocalHost.", "localhost.localdomain", "localtest.example", "127.0.0.1.nip.example",
		// Unspecified, which many systems take for this machine.
		"0", "0.0.0.0", "00.0.0.0", "0x0", "0.0", "zero.example", "[::]", "[0:0:0:0:0:0:0:0]", "zero6.example",
		// IPv6, plain and with IPv4 inside.
		"[::1]", "[0:0:0:0:0:0:0:1]", "[0000::0001]", "six.example", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]",
		"[::127.0.0.1]", "[::7f00:1]", "[::ffff:0:127.0.0.1]", "[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]",
		"[2002:7f00:1::]", "[2002:7f00:0001::1]", "[2001::7f00:1]", "mapped.example", "nat64.example", "tunnel.example", "[::ffff:0.0.0.0]",
		// Private, link-local, shared and unique-local networks.
		"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "3232235521", "0xC0A80001", "100.64.0.1", "[fc00::1]", "[fd12:3456::1]",
		"[::ffff:10.0.0.1]", "[fe80::1]", "[fe80::1%25lo]", "[fec0::1]", "private.example", "ula.example", "both.example",
		// Metadata services of clouds.
		"169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "169.254.170.2",
		"[fd00:ec2::254]", "[fd20:ce::254]", "100.100.100.200", "192.0.0.192", "168.63.129.16", "metadata.google.internal", "metadata.example",
		"wire.example", "allowed.example", "[64:ff9b::a9fe:a9fe]",
		// Multicast, broadcast, reserved, and what stands in books.
		"224.0.0.1", "239.255.255.250", "255.255.255.255", "240.0.0.1", "[ff02::1]", "multicast.example", "broadcast.example", "198.18.0.1",
		"192.0.2.1", "203.0.113.5", "198.51.100.7", "[2001:db8::1]", "[100::1]", "192.88.99.1", "[3fff::1]", "[4000::1]",
	}
}

func TestNoPayloadReachesTheCanary(t *testing.T) {
	if n := len(payloads()); n < 60 {
		t.Fatalf("only %d payloads", n)
	}
	c := newCanary(t)
	policy := must(egress.Parse("allowed.example,198.51.100.99"))(t)
	client := egress.Client(policy, egress.Options{Resolver: hostile(), Timeout: 5 * time.Second})
	for _, host := range payloads() {
		for _, scheme := range []string{"https", "http"} {
			address := scheme + "://" + host + ":" + c.port + "/latest/meta-data/"
			answer, err := client.Get(address)
			if err == nil {
				answer.Body.Close()
			}
			if !fault.Is(err, fault.Forbidden) {
				t.Errorf("%s: %v", address, err)
			}
		}
		if conn, err := (egress.Dialer{Policy: policy, Resolver: hostile()}).DialContext(t.Context(), "tcp", strings.ReplaceAll(host, "%25", "%")+":"+c.port); err == nil {
			conn.Close()
			t.Errorf("%s was dialled", host)
		}
	}
	if n := c.hits.Load(); n != 0 {
		t.Fatalf("the canary was reached %d times", n)
	}
}

func TestAddressesThatAreNotAsked(t *testing.T) {
	client := egress.Client(egress.Policy{}, egress.Options{Resolver: hostile()})
	for address, kind := range map[string]fault.Kind{
		"ftp://example.com/x": fault.Unsupported, "file:///etc/passwd": fault.Invalid, "gopher://127.0.0.1:25/_x": fault.Unsupported,
		"unix:///run/docker.sock": fault.Invalid, "https://user:password@example.com/": fault.Invalid, "https:///nohost": fault.Invalid,
		"https:opaque": fault.Invalid, "http://example.com/": fault.Forbidden, "https://nowhere.example/": fault.Unavailable,
	} {
		r, err := http.NewRequest(http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Transport.RoundTrip(r)
		if err == nil {
			answer.Body.Close()
		}
		if !fault.Is(err, kind) {
			t.Errorf("%s: %v, want %s", address, err, kind)
		}
	}
}

// rebinding answers with a good address first and with loopback afterwards.
type rebinding struct{ asked atomic.Int64 }

func (r *rebinding) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	if r.asked.Add(1) == 1 {
		return []netip.Addr{netip.MustParseAddr("127.0.0.2")}, nil
	}
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

// site is a server at 127.0.0.2, which the policy of these tests allows.
func site(t *testing.T, h http.HandlerFunc) (*httptest.Server, egress.Policy) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: h}}
	s.Start()
	t.Cleanup(s.Close)
	return s, must(egress.Parse("127.0.0.2/32,site.example"))(t)
}

func TestRebinding(t *testing.T) {
	c := newCanary(t)
	s, _ := site(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") })
	policy := must(egress.Parse("127.0.0.2/32"))(t)
	dialer := egress.Dialer{Policy: policy, Resolver: new(rebinding)}
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	conn, err := dialer.DialContext(t.Context(), "tcp", "rebind.example:"+port)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if _, err := dialer.DialContext(t.Context(), "tcp", "rebind.example:"+c.port); !fault.Is(err, fault.Forbidden) || c.hits.Load() != 0 {
		t.Fatalf("%v, %d hits", err, c.hits.Load())
	}
	// Of several addresses only the allowed one is dialled.
	both := egress.Dialer{Policy: policy, Resolver: obliging{map[string][]string{"x.example": {"127.0.0.1", "127.0.0.2"}}}}
	if conn, err = both.DialContext(t.Context(), "tcp", "x.example:"+port); err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestRedirectsAreChecked(t *testing.T) {
	c := newCanary(t)
	hosts := append([]string{"evil.example"}, payloads()...)
	s, policy := site(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Query().Get("n"))
		w.Header().Set("Location", r.URL.Query().Get("scheme")+"://"+hosts[n]+":"+c.port+"/")
		w.WriteHeader([]int{301, 302, 303, 307, 308}[n%5])
	})
	names := hostile()
	names.names["evil.example"] = []string{"127.0.0.1"}
	client := egress.Client(policy, egress.Options{Resolver: names, Timeout: 5 * time.Second})
	for n, host := range hosts {
		if host == "127.0.0.2" {
			continue // allowed here
		}
		for _, scheme := range []string{"http", "https"} {
			answer, err := client.Get(s.URL + "/?scheme=" + scheme + "&n=" + strconv.Itoa(n))
			if err == nil {
				answer.Body.Close()
			}
			if !fault.Is(err, fault.Forbidden) {
				t.Errorf("%s://%s: %v", scheme, host, err)
			}
		}
	}
	for _, location := range []string{"file:///etc/passwd", "ftp://site.example/", "https://a:b@site.example/"} {
		s, policy := site(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, location, http.StatusFound) })
		answer, err := egress.Client(policy, egress.Options{}).Get(s.URL)
		if err == nil {
			answer.Body.Close()
			t.Errorf("it followed to %s", location)
		}
	}
	if n := c.hits.Load(); n != 0 {
		t.Fatalf("the canary was reached %d times", n)
	}
}

func TestRedirectsEnd(t *testing.T) {
	asked := 0
	s, policy := site(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		http.Redirect(w, r, "/again", http.StatusFound)
	})
	answer, err := egress.Client(policy, egress.Options{Redirects: 3}).Get(s.URL)
	if err == nil {
		answer.Body.Close()
	}
	if !fault.Is(err, fault.Unavailable) || asked != 4 {
		t.Fatalf("%v after %d", err, asked)
	}
}

func TestNoCredentialsGoToAnotherOrigin(t *testing.T) {
	var got http.Header
	other, _ := site(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Clone() })
	s, policy := site(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/same" {
			http.Redirect(w, r, "/end", http.StatusFound)
			return
		}
		if r.URL.Path == "/end" {
			got = r.Header.Clone()
			return
		}
		// Only the port differs, which is another server nevertheless.
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})
	secrets := []string{"Authorization", "Cookie", "Proxy-Authorization", "Api-Key", "X-Api-Key", "X-Own-Token"}
	for path, forwarded := range map[string]bool{"/other?sig=secret": false, "/same?sig=secret": true} {
		r, err := http.NewRequest(http.MethodGet, s.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range secrets {
			r.Header.Set(name, "secret")
		}
		r.Header.Set("Accept", "text/csv")
		answer, err := egress.Client(policy, egress.Options{}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		for _, name := range secrets {
			if (got.Get(name) != "") != forwarded {
				t.Errorf("%s: %s is %q", path, name, got.Get(name))
			}
		}
		if got.Get("Referer") != "" || got.Get("Accept") != "text/csv" {
			t.Errorf("%s: %v", path, got)
		}
	}
}

func TestBodiesAreBounded(t *testing.T) {
	s, policy := site(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/told" {
			w.Header().Set("Content-Length", "1001")
		}
		for range 1001 {
			_, _ = io.WriteString(w, "x")
			if r.URL.Path != "/told" {
				w.(http.Flusher).Flush()
			}
		}
	})
	for path, most := range map[string]int64{"/told": 1000, "/untold": 1000, "/fits": 1001} {
		answer, err := egress.Client(policy, egress.Options{MaxBody: most}).Get(s.URL + path)
		var n int64
		if err == nil {
			n, err = io.Copy(io.Discard, answer.Body)
			if _, again := answer.Body.Read(make([]byte, 8)); again == nil {
				t.Errorf("%s goes on", path)
			}
			answer.Body.Close()
		}
		if fault.Is(err, fault.TooLarge) != (most == 1000) || n > most {
			t.Errorf("%s: %d bytes, %v", path, n, err)
		}
	}
}

func TestSilentServersAreLeft(t *testing.T) {
	s, policy := site(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "x")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	answer, err := egress.Client(policy, egress.Options{Stall: 50 * time.Millisecond}).Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if _, err := io.ReadAll(answer.Body); err == nil {
		t.Fatal("it waited for ever")
	}
}

func TestPolicies(t *testing.T) {
	p := must(egress.Parse(" Files.internal, .corp.example ,10.20.0.0/16,fd12::/16, 127.0.0.1"))(t)
	for host, want := range map[string]bool{
		"files.internal": true, "FILES.INTERNAL.": true, "x.files.internal": false, "a.corp.example": true, "corp.example": false,
		"acorp.example": false, "127.0.0.1": true, "10.20.1.1": false,
	} {
		if p.AllowsHost(host) != want {
			t.Errorf("%s", host)
		}
	}
	for _, c := range []struct {
		host, ip string
		ok       bool
	}{
		{"any", "8.8.8.8", true}, {"any", "2606:4700::1111", true}, {"any", "10.20.3.4", true}, {"any", "::ffff:10.20.3.4", true},
		{"any", "10.21.0.1", false}, {"any", "fd12::1", true}, {"any", "fd13::1", false}, {"files.internal", "10.0.0.1", true},
		{"files.internal", "127.0.0.1", true}, {"files.internal", "169.254.169.254", false}, {"files.internal", "fe80::1", false},
		{"files.internal", "0.0.0.0", false}, {"127.0.0.1", "127.0.0.1", true},
	} {
		if err := p.Check(c.host, netip.MustParseAddr(c.ip)); (err == nil) != c.ok {
			t.Errorf("%s at %s: %v", c.host, c.ip, err)
		}
	}
	if err := must(egress.Parse("169.254.0.0/16"))(t).Check("x", netip.MustParseAddr("169.254.169.254")); err != nil {
		t.Errorf("an allowed network: %v", err)
	}
	for _, bad := range []string{"https://x", "a:80", "10.0.0.0/33", "::ffff:10.0.0.0/104", "a b", "*.example.com", "."} {
		if _, err := egress.Parse(bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzURL(f *testing.F) {
	for _, host := range payloads() {
		f.Add("https://" + host + "/")
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := url.Parse(text)
		if err != nil {
			return
		}
		if (egress.Policy{}).CheckURL(u) == nil && (u.Scheme != "https" || u.User != nil || u.Hostname() == "") {
			t.Fatalf("%q is asked", text)
		}
	})
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// A server that thinks for long before it answers needs its own bound; and
// one that is asked by many at once has connections for as many.
func TestHeadersAndConnections(t *testing.T) {
	policy := egress.Policy{Hosts: []string{"127.0.0.1"}}
	var most, now atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		most.Store(max(most.Load(), now.Add(1)))
		defer now.Add(-1)
		select {
		case <-time.After(100 * time.Millisecond):
		case <-r.Context().Done():
		}
	}))
	defer s.Close()
	if _, err := egress.Client(policy, egress.Options{Headers: 10 * time.Millisecond}).Get(s.URL); err == nil {
		t.Error("an answer that began too late was waited for")
	}
	client := egress.Client(policy, egress.Options{Connections: 2})
	defer client.CloseIdleConnections()
	var group sync.WaitGroup
	most.Store(0)
	for range 4 {
		group.Go(func() {
			answer, err := client.Get(s.URL)
			if err != nil {
				t.Error(err)
				return
			}
			answer.Body.Close()
		})
	}
	group.Wait()
	if most.Load() > 2 {
		t.Errorf("%d connections of 2", most.Load())
	}
}
