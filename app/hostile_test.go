package app

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/surface/client"
	"github.com/leat-ai/leat/surface/server"
)

// posts are the routes that take a body, one of each kind.
var posts = []string{"/v1/endpoints/risk/score", "/v2/models/risk/infer", "/v1/apply", "/v1/sql"}

// panics is a log that remembers whether a handler panicked.
type panics struct {
	mu   sync.Mutex
	text []string
}

func (p *panics) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }
func (p *panics) WithAttrs([]slog.Attr) slog.Handler               { return p }
func (p *panics) WithGroup(string) slog.Handler                    { return p }
func (p *panics) Handle(_ context.Context, r slog.Record) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if strings.Contains(r.Message, "panick") {
		r.Attrs(func(a slog.Attr) bool { p.text = append(p.text, a.String()); return true })
	}
	return nil
}

// TestHostileBodies: whatever is sent, the answer is a 4xx that says what is
// wrong, as JSON; nothing panics and the next request is answered.
func TestHostileBodies(t *testing.T) {
	log := &panics{}
	l := newLoop(t, 1000, listening, func(c *Config) { c.Log = slog.New(log) })
	l.run(spec.KindPipeline, "learn", "first")
	deep, wide := 100_000, 1_000_000
	var keys strings.Builder
	keys.WriteString(`{"amount":1`)
	for i := range wide {
		fmt.Fprintf(&keys, `,"k%d":0`, i)
	}
	keys.WriteString("}")
	row, err := json.Marshal(payments(1)[0].row())
	if err != nil {
		t.Fatal(err)
	}
	bodies := map[string]string{
		"nothing": "", "blank": " \n", "null": "null", "a number": "1", "a string": `"x"`, "an empty list": "[]",
		"an empty object": "{}", "cut off": string(row[:len(row)/2]), "more behind": string(row) + string(row),
		"deep lists": strings.Repeat("[", deep), "deep and closed": strings.Repeat("[", deep) + strings.Repeat("]", deep),
		"deep objects":    strings.Repeat(`{"rows":`, deep) + "1" + strings.Repeat("}", deep),
		"a deep value":    `{"rows":[{"amount":` + strings.Repeat("[", deep) + strings.Repeat("]", deep) + `}]}`,
		"a deep unknown":  `{"rows":[{"zzz":` + strings.Repeat("[", deep) + strings.Repeat("]", deep) + `}]}`,
		"deep data":       `{"inputs":[{"name":"amount","datatype":"FP64","shape":[1],"data":` + strings.Repeat("[", deep) + strings.Repeat("]", deep) + `}]}`,
		"10⁶ keys":        keys.String(),
		"10⁶ keys nested": `{"rows":[` + keys.String() + `]}`,
		"a name twice":    `{"amount":1,"amount":2,"age":1,"country":"at","online":true,"at":"2026-01-01"}`,
		"beyond a double": strings.Replace(string(row), `"amount":`, `"amount":1e999,"x":`, 1),
		"NaN":             strings.Replace(string(row), `"amount":`, `"amount":NaN,"x":`, 1),
		"half a rune":     strings.Replace(string(row), `"country":`, `"country":"\ud800","x":`, 1),
		"not UTF-8":       strings.Replace(string(row), `"country":`, "\"country\":\"\xff\xfe\",\"x\":", 1),
		"a NUL":           "\x00", "a mark": "\ufeff" + string(row), "binary": "\x80\x04\x95\x1f\x8b\x08",
		"a negative shape": `{"inputs":[{"name":"amount","datatype":"FP64","shape":[-1],"data":[1]}]}`,
		"a huge shape":     `{"inputs":[{"name":"amount","datatype":"FP64","shape":[9223372036854775807,2],"data":[1]}]}`,
		"a lying shape":    `{"inputs":[{"name":"amount","datatype":"FP64","shape":[10000],"data":[1]}]}`,
		"too many rows":    `{"rows":[` + strings.Repeat("{},", 20_000) + `{}]}`,
	}
	for name, body := range bodies {
		for _, path := range posts {
			res, err := http.Post(l.URL()+path, "application/json", strings.NewReader(body))
			if err != nil {
				t.Errorf("%s to %s: %v", name, path, err)
				continue
			}
			answer, err := io.ReadAll(res.Body)
			res.Body.Close()
			if name == "an empty list" && res.StatusCode == http.StatusOK {
				continue // there is nothing to decide
			}
			if res.StatusCode/100 != 4 || err != nil || !json.Valid(answer) || len(answer) > 10_000 {
				t.Errorf("%s to %s: %s %.300q %v", name, path, res.Status, answer, err)
			}
		}
	}
	if len(log.text) > 0 {
		t.Errorf("panics: %v", log.text)
	}
	l.serves("risk")
}

// serves checks that an ordinary request is answered.
func (l *loop) serves(endpoint string) {
	l.Helper()
	if _, err := l.Client().Score(l.Context(), endpoint, []client.Row{payments(1)[0].row()}, ""); err != nil {
		l.Error(err)
	}
}

// raw opens a connection and sends the head of a POST.
func (l *loop) raw(path, head string) net.Conn {
	l.Helper()
	return dial(l.T, l.URL(), path, head)
}

func dial(t *testing.T, url, path, head string) net.Conn {
	t.Helper()
	address := strings.TrimPrefix(url, "http://")
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n%s\r\n\r\n", path, address, head); err != nil {
		t.Fatal(err)
	}
	return c
}

// reply reads an answer.
func (l *loop) reply(c net.Conn) (*http.Response, string) {
	l.Helper()
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		l.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		l.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body) // the connection may be reset behind it
	return res, string(text)
}

// TestHugeBody: a gigabyte is refused by its announcement, or once it is over
// the bound; in neither case is it read or kept.
func TestHugeBody(t *testing.T) {
	l := newLoop(t, 1000, listening)
	l.run(spec.KindPipeline, "learn", "first")
	const gigabyte = 1 << 30
	for _, path := range posts {
		if res, text := l.reply(l.raw(path, fmt.Sprintf("Content-Length: %d", gigabyte))); res.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s, announced: %s %s", path, res.Status, text)
		}
		before := allocated()
		c := l.raw(path, "Transfer-Encoding: chunked")
		sent := make(chan int)
		go func() { sent <- pour(c, gigabyte) }()
		if res, text := l.reply(c); res.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s, in chunks: %s %s", path, res.Status, text)
		}
		c.Close()
		if n := <-sent; n > 128<<20 {
			t.Errorf("%s: %d bytes were taken", path, n)
		}
		if n := allocated() - before; n > 128<<20 {
			t.Errorf("%s: %d bytes were allocated", path, n)
		}
	}
	l.serves("risk")
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// pour sends so many bytes of JSON in chunks, as far as they are taken.
func pour(w io.Writer, most int) (sent int) {
	const size = 1 << 20
	chunk := []byte(fmt.Sprintf("%x\r\n%s\r\n", size, strings.Repeat("[", size)))
	for sent < most {
		n, err := w.Write(chunk)
		sent += n
		if err != nil {
			break
		}
	}
	return sent
}

// TestSlowBody: who does not send is not waited for beyond the endpoint's time,
// and nobody else waits for them.
func TestSlowBody(t *testing.T) {
	l := newLoop(t, 1000, listening)
	l.apply("decide: {threshold: 0.5,", "limits: {timeout: 400ms}\ndecide: {threshold: 0.5,")
	l.run(spec.KindPipeline, "learn", "first")
	var slow []net.Conn
	for range 50 {
		for _, path := range posts[:2] {
			c := l.raw(path, "Content-Length: 1000")
			if _, err := io.WriteString(c, `{"rows":[`); err != nil {
				t.Fatal(err)
			}
			slow = append(slow, c)
		}
	}
	l.serves("risk")
	for _, c := range slow {
		if res, text := l.reply(c); res.StatusCode != http.StatusGatewayTimeout || !strings.Contains(text, "did not arrive") {
			t.Errorf("%s %s", res.Status, text)
		}
	}
	l.serves("risk")
}

// TestOverload: what is too much is refused with the time to come back, and
// what comes then is answered.
func TestOverload(t *testing.T) {
	l := newLoop(t, 1000, listening)
	l.apply("record: required", "limits: {rate: 20/s}")
	l.apply("decide: {threshold: 0.5,", "limits: {concurrency: 2}\ndecide: {threshold: 0.5,")
	l.run(spec.KindPipeline, "learn", "first")
	l.run(spec.KindPipeline, "plain", "second")

	many := struct {
		Rows []map[string]any `json:"rows"`
	}{}
	for range 5000 {
		many.Rows = append(many.Rows, payments(1)[0].row())
	}
	body, err := json.Marshal(many)
	if err != nil {
		t.Fatal(err)
	}
	for endpoint, refusal := range map[string]int{"risk": http.StatusServiceUnavailable, "line": http.StatusTooManyRequests} {
		counts := map[int]int{}
		var mu sync.Mutex
		var asking sync.WaitGroup
		for range 40 {
			asking.Go(func() {
				res, err := http.Post(l.URL()+"/v1/endpoints/"+endpoint+"/score", "application/json", bytes.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				defer res.Body.Close()
				_, _ = io.Copy(io.Discard, res.Body)
				if res.StatusCode != http.StatusOK && res.Header.Get("Retry-After") == "" {
					t.Errorf("%s without a time to come back", res.Status)
				}
				mu.Lock()
				defer mu.Unlock()
				counts[res.StatusCode]++
			})
		}
		asking.Wait()
		t.Logf("%s: %v", endpoint, counts)
		if counts[http.StatusOK] == 0 || counts[refusal] == 0 || counts[http.StatusOK]+counts[refusal] != 40 {
			t.Errorf("%s: %v", endpoint, counts)
		}
	}
	l.serves("risk")
}

// TestBrokenData: files that are damaged or made to do harm fail their run with
// the place and the reason, and nothing of them is seen.
func TestBrokenData(t *testing.T) {
	l := newLoop(t, 300)
	if err := os.Mkdir(filepath.Join(l.dir, "broken"), 0o700); err != nil {
		t.Fatal(err)
	}
	l.run(spec.KindPipeline, "learn", "first")
	table, err := l.lake.Table(t.Context(), "scores")
	if err != nil {
		t.Fatal(err)
	}
	stored, err := table.Files(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	parquet, err := os.ReadFile(strings.TrimPrefix(stored[0].Path, "file://"))
	if err != nil {
		t.Fatal(err)
	}
	csv := "a,b\n1,2\n3,4\n"
	footer := bytes.Clone(parquet) // says that it is larger than the file
	binary.LittleEndian.PutUint32(footer[len(footer)-8:], 1<<31-1)
	cases := map[string][]byte{
		"empty.csv": {}, "binary.csv": bytes.Repeat([]byte{0, 255, 10, 34}, 1000), "quote.csv": []byte("a,b\n1,\"2\n3,4\n"),
		"long.csv": append([]byte("a,b\n1,"), bytes.Repeat([]byte("x"), 40<<20)...), "header.csv": []byte("a,a\n1,2\n"),
		"cut.csv.gz": zipped(csv)[:20], "flat.csv.gz": []byte(csv), "bomb.csv.gz": bomb(1 << 30), "garbage.csv.zst": []byte("\x28\xb5\x2f\xfdgarbage"),
		"cut.parquet": parquet[:len(parquet)/2], "head.parquet": []byte("PAR1"), "text.parquet": []byte(csv),
		"footer.parquet": footer, "noise.parquet": append(append([]byte("PAR1"), bytes.Repeat([]byte{0x15, 0xff}, 500)...), "\xe8\x03\x00\x00PAR1"...),
		"cut.jsonl": []byte("{\"a\":1}\n{\"a\":"), "deep.jsonl": []byte(strings.Repeat("[", 100_000)), "list.jsonl": []byte("[1,2]\n"),
	}
	var sources strings.Builder
	for name, content := range cases {
		if err := os.WriteFile(filepath.Join(l.dir, "broken", name), content, 0o600); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&sources, "---\nkind: Source\nname: %s\nfrom: broken/%s\n", sourceName(name), name)
	}
	l.apply("---\nkind: FeatureView", sources.String()+"---\nkind: FeatureView")
	for name := range cases {
		source := sourceName(name)
		before := allocated()
		status, err := l.through(t.Context(), spec.KindSource, source, source)
		kind := fault.KindOf(err)
		switch {
		case err == nil: // what could not be read is in the side table
			t.Logf("%s: %s", name, status.Output)
			var r struct{ Rows int64 }
			if err := json.Unmarshal(status.Output, &r); err != nil || r.Rows > 3 {
				t.Errorf("%s: %s %v", name, status.Output, err)
			}
			continue
		case kind != fault.Invalid && kind != fault.Corrupt && kind != fault.TooLarge:
			t.Errorf("%s: %s: %v", name, kind, err)
		case !strings.Contains(err.Error(), name) && !strings.Contains(err.Error(), source):
			t.Errorf("%s is not named by %q", name, err)
		default:
			t.Logf("%s: %s: %.200v (%s)", name, kind, err, fault.HintOf(err))
		}
		if n := allocated() - before; n > 1<<30 {
			t.Errorf("%s: %d MB were allocated", name, n>>20)
		}
		if _, err := l.lake.Table(t.Context(), source); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: there is a table: %v", name, err)
		}
	}
	l.serves("risk")
}

func sourceName(file string) string { return strings.ReplaceAll(file, ".", "_") }

func zipped(text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text)
	w.Close()
	return b.Bytes()
}

// bomb is a small file that unpacks to so many bytes of one line.
func bomb(size int) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	part := make([]byte, 1<<20)
	for i := range part {
		part[i] = 'a'
	}
	for range size / len(part) {
		_, _ = w.Write(part)
	}
	w.Close()
	return b.Bytes()
}

// TestBrokenProject: mistakes in resource files are told with their place, and
// nothing of the project is put in force.
func TestBrokenProject(t *testing.T) {
	l := newLoop(t, 10)
	before, err := l.Client().Resources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	good, err := files(l.dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"cut off":   "kind: Source\nname: x\nschema: {a: in",
		"a tab":     "kind: Source\n\tname: x\n",
		"binary":    "\x00\x01\x02",
		"a bomb":    "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c]\nkind: Source\n",
		"deep":      "kind: " + strings.Repeat("[", 10_000),
		"no kind":   "name: x\n",
		"not known": "kind: Endpoint\nname: e\nmodel: nothing\n",
	} {
		_, err := l.Client().Apply(t.Context(), map[string]string{"leat.yaml": good["leat.yaml"], "more.yaml": text})
		if kind := fault.KindOf(err); kind != fault.Invalid && kind != fault.Unsupported && kind != fault.TooLarge {
			t.Errorf("%s: %s: %v", name, kind, err)
		} else if !strings.Contains(err.Error(), "more.yaml") {
			t.Errorf("%s: the file is not named by %q", name, err)
		}
	}
	after, err := l.Client().Resources(t.Context())
	if err != nil || len(after) != len(before) {
		t.Errorf("%d resources became %d, %v", len(before), len(after), err)
	}
}

// TestLyingModel: a version whose file says what it is not does not become
// live; what was live serves on.
func TestLyingModel(t *testing.T) {
	l := newLoop(t, 1000)
	l.run(spec.KindPipeline, "learn", "first")
	v, err := l.registry.Version(t.Context(), "risk", "latest")
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(l.blobPath("risk"))
	if err != nil {
		t.Fatal(err)
	}
	live, err := l.releases.Live(t.Context(), "risk")
	if err != nil {
		t.Fatal(err)
	}
	lies := map[string][]byte{
		"huge sizes":  bytes.Replace(whole, []byte(`"splits":[`), []byte(`"splits":[9223372036854775807,`), 1),
		"a cycle":     bytes.Replace(whole, []byte(`"left":[`), []byte(`"left":[0,`), 1),
		"more leaves": bytes.Replace(whole, []byte(`"leaf":[`), []byte(`"leaf":[0,`), 1),
		"cut off":     whole[:len(whole)/2],
		"a pickle":    []byte("\x80\x04\x95cos\nsystem\n"),
		"deep":        bytes.Repeat([]byte("["), 1<<20),
	}
	for name, content := range lies {
		if bytes.Equal(content, whole) {
			t.Fatalf("%s changes nothing", name)
		}
		bad, err := l.registry.Register(t.Context(), registry.NewVersion{
			Model: "risk", Format: v.Manifest.Format, Files: map[string][]byte{"model.json": content},
			Signature: v.Manifest.Signature, Threshold: v.Manifest.Threshold, By: "test",
		})
		if err != nil {
			t.Fatal(err)
		}
		release := live.Content
		release.Variants = []deploy.Variant{live.Content.Variants[0]}
		release.Variants[0].ID, release.Variants[0].Version = bad.ID, bad.Number
		if _, err := l.releases.Deploy(t.Context(), "risk", release, "test", "to do harm"); err != nil {
			t.Fatal(err)
		}
		err = l.serve(t.Context(), "risk")
		if kind := fault.KindOf(err); err == nil || kind != fault.Corrupt && kind != fault.Invalid {
			t.Errorf("%s: %s: %v", name, kind, err)
		}
		if l.doctor("endpoint risk") == "" {
			t.Errorf("%s: the doctor finds nothing", name)
		}
		l.serves("risk")
	}
}

// TestConfined: a key that may apply and run cannot make the server read or
// write beyond the project, nor run programs; one that administers it can.
func TestConfined(t *testing.T) {
	l := newLoop(t, 300, func(c *Config) { c.Server.Auth = server.AuthKeys }, listening)
	secret := filepath.Join(t.TempDir(), "secret.csv")
	if err := os.WriteFile(secret, []byte("a,b\n1,2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	relative, err := filepath.Rel(l.dir, secret)
	if err != nil {
		t.Fatal(err)
	}
	good, err := files(l.dir)
	if err != nil {
		t.Fatal(err)
	}
	batch := "kind: Batch\nname: out\nfrom: %q\nscore: risk\nto: %q\n"
	attempts := []string{
		fmt.Sprintf(batch, secret, "lake://x"), fmt.Sprintf(batch, "lake://payments", secret), fmt.Sprintf(batch, "lake://payments", relative),
		"kind: Pipeline\nname: p\nsteps:\n  - train: {model: m, label: bad, features: [payment], trainer: command, command: [sh, -c, id]}\n",
	}
	for _, from := range []string{secret, relative, "./x/../" + relative, filepath.Dir(relative) + "/*.csv", "/etc/passwd"} {
		attempts = append(attempts, fmt.Sprintf("kind: Source\nname: outside\nfrom: %q\n", from))
	}
	for name, grants := range map[string][]string{"robot": {"apply:*", "run:*", "read:*"}, "admin": {"*:*"}} {
		token, _, err := l.keys.Create(t.Context(), identity.NewKey{Name: name, Grants: grants, By: "test"})
		if err != nil {
			t.Fatal(err)
		}
		c, err := client.New(l.URL(), client.Options{Key: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range attempts {
			_, err := c.Apply(t.Context(), map[string]string{"leat.yaml": good["leat.yaml"], "more.yaml": text})
			if name == "admin" && err != nil || name == "robot" && !fault.Is(err, fault.Forbidden) {
				t.Errorf("%s applies %q: %v", name, text, err)
			}
		}
		if _, err := c.Apply(t.Context(), good); err != nil {
			t.Errorf("%s applies what is harmless: %v", name, err)
		}
	}
}
