package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/telemetry"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/surface/server"
)

// doorkeeper knows one key.
type doorkeeper struct{}

func (doorkeeper) Authenticate(_ context.Context, token string) (identity.Principal, error) {
	if token != "leat_good" {
		return identity.Principal{}, fault.New(fault.Unauthenticated, "the API key is not known")
	}
	return identity.Principal{Name: "ada"}, nil
}

// made is a server with routes that do what their names say.
func made(t *testing.T, c server.Config) (*server.Server, *telemetry.Telemetry) {
	t.Helper()
	tel, err := telemetry.New(t.Context(), telemetry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(c, doorkeeper{}, tel)
	if err != nil {
		t.Fatal(err)
	}
	s.Handle("POST /who", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := identity.From(r.Context())
		_, _ = io.WriteString(w, p.Name)
	}))
	s.Handle("POST /panic", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("the password is hunter2") }))
	s.Handle("POST /read", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(w, r.Body); err != nil {
			server.WriteProblem(w, err)
		}
	}))
	s.HandleOpen("GET /open", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	return s, tel
}

// ask sends a request to a server as a client on this machine would.
func ask(s *server.Server, method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://127.0.0.1:8080"+path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		} else {
			r.Header.Set(header[i], header[i+1])
		}
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

func problemOf(t *testing.T, w *httptest.ResponseRecorder) server.Problem {
	t.Helper()
	var p server.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Header().Get("Content-Type") != "application/problem+json" || p.Status != w.Code {
		t.Fatalf("status %d, %s: no problem document: %q", w.Code, w.Header().Get("Content-Type"), w.Body)
	}
	return p
}

func TestWithoutKeysOnlyLoopbackNamesAreServed(t *testing.T) {
	local, _ := made(t, server.Config{})
	keyed, _ := made(t, server.Config{Auth: server.AuthKeys})
	for host, served := range map[string]bool{
		"localhost": true, "localhost:8080": true, "127.0.0.1:8080": true, "127.8.9.1": true, "[::1]:8080": true, "[::1]": true,
		"leat.example": false, "leat.example:8080": false, "127.0.0.1.leat.example": false, "localhost.leat.example": false,
		"10.0.0.1": false, "0.0.0.0:8080": false, "": false, "[::ffff:10.0.0.1]:80": false,
	} {
		w := ask(local, "GET", "/open", "", "Host", host)
		if (w.Code == http.StatusNoContent) != served {
			t.Errorf("Host %q is answered with %d", host, w.Code)
		}
		if !served && problemOf(t, w).Kind != string(fault.Forbidden) {
			t.Errorf("Host %q: %s", host, w.Body)
		}
		if w := ask(keyed, "GET", "/open", "", "Host", host); w.Code != http.StatusNoContent {
			t.Errorf("with keys, Host %q is answered with %d", host, w.Code)
		}
	}
}

func TestPagesOfOtherSitesMayNotCall(t *testing.T) {
	s, _ := made(t, server.Config{})
	for name, c := range map[string]struct {
		header []string
		code   int
	}{
		"another site":              {[]string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		"a neighbour":               {[]string{"Sec-Fetch-Site", "same-site"}, http.StatusForbidden},
		"an old browser":            {[]string{"Origin", "https://evil.example"}, http.StatusForbidden},
		"a page of the server":      {[]string{"Sec-Fetch-Site", "same-origin", "Origin", "http://127.0.0.1:8080"}, http.StatusOK},
		"a program, no browser":     {nil, http.StatusOK},
		"typed into the addressbar": {[]string{"Sec-Fetch-Site", "none"}, http.StatusOK},
	} {
		if w := ask(s, "POST", "/who", "", c.header...); w.Code != c.code {
			t.Errorf("%s is answered with %d, not %d", name, w.Code, c.code)
		}
	}
}

func TestPanicIsAProblemAndIsCounted(t *testing.T) {
	s, tel := made(t, server.Config{})
	w := ask(s, "POST", "/panic", "")
	if p := problemOf(t, w); p.Kind != string(fault.Internal) || p.Hint == "" || strings.Contains(w.Body.String(), "hunter2") {
		t.Errorf("%s", w.Body)
	}
	metrics := httptest.NewRecorder()
	tel.Handler().ServeHTTP(metrics, httptest.NewRequest("GET", "/metrics", nil))
	if !strings.Contains(metrics.Body.String(), `leat_http_requests_total{class="5xx"} 1`) {
		t.Errorf("it is not counted:\n%s", metrics.Body)
	}
}

func TestRequestID(t *testing.T) {
	s, _ := made(t, server.Config{})
	id := func(sent string) string {
		return ask(s, "GET", "/open", "", server.RequestID, sent).Header().Get(server.RequestID)
	}
	if got := id("order-4711"); got != "order-4711" {
		t.Errorf("the caller's id became %q", got)
	}
	seen := map[string]bool{}
	for _, odd := range []string{"", "two words", "line\nbreak", "ümlaut", strings.Repeat("x", 129)} {
		got := id(odd)
		if got == odd || len(got) < 20 || seen[got] {
			t.Errorf("%q became %q", odd, got)
		}
		seen[got] = true
	}
	if ask(s, "GET", "/nowhere", "").Header().Get(server.RequestID) == "" {
		t.Error("an answer that is an error has no id")
	}
}

func TestKeys(t *testing.T) {
	s, _ := made(t, server.Config{Auth: server.AuthKeys})
	for name, c := range map[string]struct {
		header []string
		code   int
	}{
		"a bearer":        {[]string{"Authorization", "Bearer leat_good"}, http.StatusOK},
		"spaces":          {[]string{"Authorization", "Bearer  leat_good "}, http.StatusOK},
		"Azure's header":  {[]string{"Api-Key", "leat_good"}, http.StatusOK},
		"a wrong key":     {[]string{"Authorization", "Bearer leat_bad"}, http.StatusUnauthorized},
		"another scheme":  {[]string{"Authorization", "Basic bGVhdF9nb29k"}, http.StatusUnauthorized},
		"an empty bearer": {[]string{"Authorization", "Bearer "}, http.StatusUnauthorized},
		"nothing":         {nil, http.StatusUnauthorized},
	} {
		w := ask(s, "POST", "/who", "", c.header...)
		if w.Code != c.code {
			t.Errorf("%s is answered with %d, not %d", name, w.Code, c.code)
		}
		if w.Code == http.StatusUnauthorized && (w.Header().Get("WWW-Authenticate") != "Bearer" || problemOf(t, w).Kind != string(fault.Unauthenticated)) {
			t.Errorf("%s: %v %s", name, w.Header(), w.Body)
		}
	}
	local, _ := made(t, server.Config{})
	if w := ask(local, "POST", "/who", "", "Authorization", "Bearer leat_bad"); w.Code != http.StatusUnauthorized {
		t.Errorf("a wrong key where none is asked for is answered with %d", w.Code)
	}
	for _, header := range [][]string{{"Authorization", "Bearer sk-none"}, {"Api-Key", "unused"}} {
		if w := ask(local, "POST", "/who", "", header...); w.Code != http.StatusOK {
			t.Errorf("a key of another make, where none is asked for, is answered with %d", w.Code)
		}
	}
}

func TestBodiesAreBounded(t *testing.T) {
	s, _ := made(t, server.Config{MaxBody: 10})
	if w := ask(s, "POST", "/read", "0123456789"); w.Code != http.StatusOK || w.Body.String() != "0123456789" {
		t.Errorf("ten bytes: %d %s", w.Code, w.Body)
	}
	if p := problemOf(t, ask(s, "POST", "/read", "0123456789a")); p.Kind != string(fault.TooLarge) || !strings.Contains(p.Detail, "10 bytes") {
		t.Errorf("%+v", p)
	}
	unsaid := httptest.NewRequest("POST", "http://localhost/read", io.MultiReader(strings.NewReader("0123456789a"))) // of no declared length
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, unsaid)
	if !strings.Contains(w.Body.String(), string(fault.TooLarge)) {
		t.Errorf("a body that does not say its length: %d %s", w.Code, w.Body)
	}
}

func TestWhatIsNotThereIsAProblemToo(t *testing.T) {
	s, _ := made(t, server.Config{})
	if p := problemOf(t, ask(s, "GET", "/nowhere", "")); p.Kind != string(fault.NotFound) || !strings.Contains(p.Detail, "/nowhere") || p.Hint == "" {
		t.Errorf("%+v", p)
	}
	w := ask(s, "DELETE", "/who", "")
	if p := problemOf(t, w); p.Status != http.StatusMethodNotAllowed || p.Kind != string(fault.Invalid) || w.Header().Get("Allow") != "POST" {
		t.Errorf("%+v, Allow %q", p, w.Header().Get("Allow"))
	}
	for _, r := range s.Routes() {
		if r.Pattern == "/" {
			t.Error("what answers everything else is no route")
		}
	}
}

func TestMistakesOfConfiguration(t *testing.T) {
	for want, c := range map[string]struct {
		config server.Config
		kind   fault.Kind
		count  int
	}{
		"other machines": {server.Config{Listen: "0.0.0.0:80"}, fault.Forbidden, 1},
		"listen address": {server.Config{Listen: "8080"}, fault.Invalid, 1},
		"certificate":    {server.Config{CertFile: "c.pem"}, fault.Invalid, 1},
		"authentication": {server.Config{Auth: "none", Listen: "nowhere", KeyFile: "k.pem"}, fault.Internal, 3},
	} {
		err := c.config.Validate()
		count := 0
		fault.Each(err, func(error) { count++ })
		if count != c.count || !strings.Contains(err.Error(), want) || count == 1 && !fault.Is(err, c.kind) {
			t.Errorf("%+v: %v", c.config, err)
		}
	}
	for _, listen := range []string{"", "localhost:0", "[::1]:0", "127.0.0.1:65535"} {
		if err := (server.Config{Listen: listen}).Validate(); err != nil {
			t.Errorf("%q: %v", listen, err)
		}
	}
	if err := (server.Config{Listen: "0.0.0.0:80", Auth: server.AuthKeys}).Validate(); err != nil {
		t.Error(err)
	}
}

// certificate writes a certificate for 127.0.0.1 and its key.
func certificate(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	public, err := x509.CreateCertificate(rand.Reader, template, template, &secret.PublicKey, secret)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: public}, key: {Type: "EC PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestTLS(t *testing.T) {
	cert, key := certificate(t, t.TempDir())
	s, _ := made(t, server.Config{Listen: "127.0.0.1:0", CertFile: cert, KeyFile: key})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(context.Background()) })
	pem, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer c.CloseIdleConnections()
	res, err := c.Get(s.URL() + "/open")
	if err != nil || res.StatusCode != http.StatusNoContent || !strings.HasPrefix(s.URL(), "https://") {
		t.Fatalf("%s: %v, %v", s.URL(), res, err)
	}
	_ = res.Body.Close()
	if res, err := http.Get("http://" + strings.TrimPrefix(s.URL(), "https://") + "/open"); err == nil {
		if _ = res.Body.Close(); res.StatusCode < 400 {
			t.Errorf("it answers without TLS: %s", res.Status)
		}
	}
}

func TestTLSFilesAreReadBeforeAnybodyConnects(t *testing.T) {
	dir := t.TempDir()
	cert, key := certificate(t, dir)
	_, foreign := certificate(t, t.TempDir())
	if err := os.WriteFile(filepath.Join(dir, "text"), []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, files := range map[string][2]string{
		"absent":            {filepath.Join(dir, "absent"), key},
		"not PEM":           {filepath.Join(dir, "text"), key},
		"swapped":           {key, cert},
		"another one's key": {cert, foreign},
	} {
		s, _ := made(t, server.Config{Listen: "127.0.0.1:0", CertFile: files[0], KeyFile: files[1]})
		err := s.Start(t.Context())
		if !fault.Is(err, fault.Invalid) || fault.HintOf(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Errorf("%s: Stop after a failed Start: %v", name, err)
		}
	}
}

func TestStopWaitsAndMayBeCalledTwice(t *testing.T) {
	s, _ := made(t, server.Config{Listen: "127.0.0.1:0"})
	entered, goOn := make(chan struct{}), make(chan struct{})
	s.Handle("GET /slow", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-goOn
		_, _ = io.WriteString(w, "done")
	}))
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	answer := make(chan string)
	go func() {
		res, err := http.Get(s.URL() + "/slow")
		if err != nil {
			answer <- err.Error()
			return
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		answer <- string(text)
	}()
	<-entered
	stopped := make(chan error)
	go func() { stopped <- s.Stop(context.Background()) }()
	close(goOn)
	if got := <-answer; got != "done" {
		t.Errorf("a request under way is answered %q", got)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	<-s.Done()
	if err := s.Stop(t.Context()); err != nil {
		t.Errorf("the second Stop: %v", err)
	}
}

func TestPortInUse(t *testing.T) {
	first, _ := made(t, server.Config{Listen: "127.0.0.1:0"})
	if err := first.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = first.Stop(context.Background()) })
	second, _ := made(t, server.Config{Listen: strings.TrimPrefix(first.URL(), "http://")})
	if err := second.Start(t.Context()); !fault.Is(err, fault.Unavailable) || !strings.Contains(fault.HintOf(err), "--listen") {
		t.Errorf("%v", err)
	}
}
