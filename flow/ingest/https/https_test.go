package https_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/ingest"
	"github.com/leat-ai/leat/flow/ingest/https"
	"github.com/leat-ai/leat/guard/egress"
)

// site serves one file, as badly as it is told to.
type site struct {
	*httptest.Server
	content  string
	tag      string
	since    string
	noHead   bool // HEAD is not known
	noRange  bool // ranges are ignored
	noLength bool // the size is not told
	wrong    bool // another range than was asked for
	token    string
	query    string
	cuts     []int // bytes after which the next answers break; none left: whole
	answers  atomic.Int64
	changeAt int64 // the answer from which on the file is another one
}

func newSite(t testing.TB, s *site) *site {
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.token != "" && r.Header.Get("Authorization") != "Bearer "+s.token || s.query != "" && r.URL.RawQuery != s.query {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	if r.URL.Path != "/data/sales.csv" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if r.Method == http.MethodHead && s.noHead {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	content, tag := s.content, s.tag
	if r.Method == http.MethodGet && s.changeAt > 0 && s.answers.Add(1) >= s.changeAt {
		content, tag = strings.ToUpper(content), strings.ToUpper(tag)
	}
	for name, value := range map[string]string{"ETag": tag, "Last-Modified": s.since} {
		if value != "" {
			w.Header().Set(name, value)
		}
	}
	s.send(w, r, content, tag)
}

func (s *site) send(w http.ResponseWriter, r *http.Request, content, tag string) {
	from, status := 0, http.StatusOK
	condition := r.Header.Get("If-Range")
	if text, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok && !s.noRange && (condition == "" || condition == tag || condition == s.since) {
		text, end, _ := strings.Cut(text, "-")
		from, _ = strconv.Atoi(text)
		if from >= len(content) {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", len(content)))
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		if s.wrong {
			from = max(0, from-1)
		}
		status = http.StatusPartialContent
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(content)-1, len(content)))
		if end == "0" {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-0/%d", len(content)))
			content = content[:1]
		}
	}
	content = content[from:]
	if !s.noLength {
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	}
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return
	}
	if len(s.cuts) > 0 {
		cut := s.cuts[0]
		s.cuts = s.cuts[1:]
		_, _ = io.WriteString(w, content[:min(cut, len(content))])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = io.WriteString(w, content)
}

func opener(t testing.TB, c https.Config) *https.Sources {
	policy, err := egress.Parse("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	c.Policy, c.Wait = policy, time.Millisecond
	return https.New(c)
}

// take lists and reads as an ingest does: without a digest, content is read
// twice.
func take(t testing.TB, s *https.Sources, address, secret string) (string, ingest.Object, error) {
	found, err := s.List(t.Context(), address, secret, nil)
	if err != nil {
		return "", ingest.Object{}, err
	}
	o := found[0]
	if o.Digest == "" {
		text, err := read(t, s, o, secret)
		if err != nil {
			return "", o, err
		}
		sum := sha256.Sum256([]byte(text))
		o.Digest = hex.EncodeToString(sum[:])
	}
	text, err := read(t, s, o, secret)
	return text, o, err
}

func read(t testing.TB, s *https.Sources, o ingest.Object, secret string) (string, error) {
	r, err := s.Open(t.Context(), o, secret, nil)
	if err != nil {
		return "", err
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	return string(text), err
}

const table = "id,amount\n1,2\n3,4\n"

func TestFilesAreRead(t *testing.T) {
	for name, s := range map[string]*site{
		"plain": {}, "tagged": {tag: `"v1"`}, "weak tag": {tag: `W/"v1"`}, "dated": {since: "Sun, 22 Nov 2026 12:00:00 GMT"},
		"no HEAD": {noHead: true}, "no HEAD, no ranges": {noHead: true, noRange: true}, "no length": {noLength: true},
		"nothing told": {noHead: true, noRange: true, noLength: true},
	} {
		t.Run(name, func(t *testing.T) {
			s.content = table
			newSite(t, s)
			text, o, err := take(t, opener(t, https.Config{}), s.URL+"/data/sales.csv#top", "")
			if err != nil || text != table {
				t.Fatalf("%q, %v", text, err)
			}
			if o.Name != s.URL+"/data/sales.csv" || !s.noLength && o.Size != int64(len(table)) || s.noLength && o.Size >= 0 && !strings.HasPrefix(name, "no") {
				t.Errorf("%+v", o)
			}
			if (o.Digest == `"v1"`) != (name == "tagged") {
				t.Errorf("digest %q", o.Digest)
			}
		})
	}
}

func TestEmptyFiles(t *testing.T) {
	for _, noHead := range []bool{false, true} {
		s := newSite(t, &site{noHead: noHead})
		if text, o, err := take(t, opener(t, https.Config{}), s.URL+"/data/sales.csv", ""); err != nil || text != "" || o.Size != 0 {
			t.Fatalf("%q, %+v, %v", text, o, err)
		}
	}
}

// However often and wherever answers break, what is read is the file or an
// error.
func TestBrokenReadsGoOn(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := &site{
			content: rapid.StringMatching(`[a-z]{1,400}`).Draw(rt, "content"), cuts: rapid.SliceOfN(rapid.IntRange(1, 500), 0, 4).Draw(rt, "cuts"),
			tag:   rapid.SampledFrom([]string{"", `"v1"`, `W/"v1"`}).Draw(rt, "tag"),
			since: rapid.SampledFrom([]string{"", "Sun, 22 Nov 2026 12:00:00 GMT"}).Draw(rt, "since"), noRange: rapid.Bool().Draw(rt, "noRange"),
			noHead: rapid.Bool().Draw(rt, "noHead"), noLength: rapid.Bool().Draw(rt, "noLength"), wrong: rapid.Bool().Draw(rt, "wrong"),
			changeAt: rapid.Int64Range(0, 5).Draw(rt, "changeAt"),
		}
		s.Server = httptest.NewServer(s)
		defer s.Close()
		text, _, err := take(t, opener(t, https.Config{}), s.URL+"/data/sales.csv", "")
		switch {
		case err == nil && text != s.content && (s.changeAt == 0 || text != strings.ToUpper(s.content)):
			rt.Fatalf("%q is neither file", text)
		case err != nil && !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Conflict):
			rt.Fatal(err)
		case err != nil && s.changeAt == 0 && s.tag == `"v1"` && !s.wrong:
			rt.Fatalf("a read that could have gone on: %v", err)
		}
	})
}

func TestCutFilesAreNotTaken(t *testing.T) {
	s := newSite(t, &site{content: strings.Repeat(table, 100), tag: `"v1"`, cuts: []int{10, 0, 0, 0, 0, 0, 0, 0, 0}})
	_, _, err := take(t, opener(t, https.Config{Attempts: 3}), s.URL+"/data/sales.csv", "")
	if !fault.Is(err, fault.Unavailable) || len(s.cuts) != 5 {
		t.Fatalf("%v, %d left", err, len(s.cuts))
	}
	// A server that says that a file is longer than what it sends.
	raw := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			w.Header().Set("Content-Length", "1000")
			return
		}
		_, _ = io.WriteString(w, table)
		w.(http.Flusher).Flush()
	}))
	t.Cleanup(raw.Close)
	if _, _, err := take(t, opener(t, https.Config{}), raw.URL+"/x.csv", ""); !fault.Is(err, fault.Unavailable) {
		t.Fatal(err)
	}
}

func TestChangedFilesAreNotTaken(t *testing.T) {
	for _, tag := range []string{"", `"v1"`} {
		s := newSite(t, &site{content: table, tag: tag, changeAt: 2})
		o := ingest.Object{Name: s.URL + "/data/sales.csv", Size: -1, Digest: tag}
		if tag == "" {
			sum := sha256.Sum256([]byte(table))
			o.Digest = hex.EncodeToString(sum[:])
		}
		if _, err := read(t, opener(t, https.Config{}), o, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := read(t, opener(t, https.Config{}), o, ""); !fault.Is(err, fault.Conflict) {
			t.Fatalf("tag %q: %v", tag, err)
		}
	}
}

func TestSecrets(t *testing.T) {
	bearer := newSite(t, &site{content: table, token: "t0ken"})
	signed := newSite(t, &site{content: table, query: "v=1&sig=a%2Bb"})
	s := opener(t, https.Config{})
	if text, _, err := take(t, s, bearer.URL+"/data/sales.csv", "t0ken"); err != nil || text != table {
		t.Fatal(err)
	}
	text, o, err := take(t, s, signed.URL+"/data/sales.csv?v=1", "?sig=a%2Bb")
	if err != nil || text != table || strings.Contains(o.Name, "sig") {
		t.Fatalf("%+v, %v", o, err)
	}
	for _, c := range []struct {
		address, secret string
		kind            fault.Kind
	}{
		{bearer.URL + "/data/sales.csv", "wr0ng", fault.Forbidden}, {bearer.URL + "/data/sales.csv", "", fault.Forbidden},
		{bearer.URL + "/data/sales.csv", "t0ken\n", fault.Invalid}, {signed.URL + "/data/sales.csv?v=1", "?sig=wr0ng", fault.Forbidden},
		{signed.URL + "/data/sales.csv?v=1&sig=a", "", fault.Invalid}, {signed.URL + "/data/sales.csv?X-Amz-Signature=a", "", fault.Invalid},
	} {
		_, _, err := take(t, s, c.address, c.secret)
		if !fault.Is(err, c.kind) {
			t.Errorf("%s: %v", c.address, err)
		}
		if err != nil && c.secret != "" && strings.Contains(fmt.Sprint(err), c.secret) {
			t.Errorf("the secret is told: %v", err)
		}
	}
	// What the server does not answer is told without the signed query.
	signed.Close()
	if _, _, err := take(t, s, signed.URL+"/data/sales.csv?v=1", "?sig=wr0ng"); !fault.Is(err, fault.Unavailable) || strings.Contains(fmt.Sprint(err), "wr0ng") {
		t.Fatal(err)
	}
}

func TestAddressesThatAreRefused(t *testing.T) {
	s := newSite(t, &site{content: table})
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	for address, kind := range map[string]fault.Kind{
		"http://localhost:" + u.Port() + "/data/sales.csv": fault.Forbidden, "https://[::1]:" + u.Port() + "/data/sales.csv": fault.Forbidden,
		"http://example.com/x.csv": fault.Forbidden, s.URL + "/data/*.csv": fault.Unsupported, s.URL + "/other.csv": fault.NotFound,
		"http://a:b@127.0.0.1/x.csv": fault.Invalid, "https://169.254.169.254/latest": fault.Forbidden, "http://%zz/": fault.Invalid,
	} {
		if _, _, err := take(t, opener(t, https.Config{}), address, ""); !fault.Is(err, kind) {
			t.Errorf("%s: %v", address, err)
		}
	}
	if _, err := opener(t, https.Config{}).List(t.Context(), s.URL+"/data/sales.csv", "", map[string]string{"header": "x"}); !fault.Is(err, fault.Invalid) {
		t.Errorf("options: %v", err)
	}
}

func TestOverTLS(t *testing.T) {
	s := &site{content: table, tag: `"v1"`, cuts: []int{3}}
	s.Server = httptest.NewTLSServer(s)
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	if text, _, err := take(t, opener(t, https.Config{Roots: roots}), s.URL+"/data/sales.csv", ""); err != nil || text != table {
		t.Fatalf("%q, %v", text, err)
	}
	if _, _, err := take(t, opener(t, https.Config{}), s.URL+"/data/sales.csv", ""); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("an unknown authority: %v", err)
	}
}
