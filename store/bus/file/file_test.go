package file_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/bus"
	"github.com/leat-ai/leat/store/bus/bustest"
	"github.com/leat-ai/leat/store/bus/file"
)

func open(t testing.TB, c file.Config) *file.Bus {
	t.Helper()
	b, err := file.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func TestSuite(t *testing.T) {
	for name, o := range map[string]struct {
		follow  bool
		maxFile int64
	}{"followed": {true, 0}, "to the end": {false, 0}, "many small files": {true, 700}} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			bustest.Run(t, bustest.Options{
				Open: func(t *testing.T) bus.Bus {
					return open(t, file.Config{Root: root, Follow: o.follow, Format: file.Events, Poll: 5 * time.Millisecond, MaxFile: o.maxFile})
				},
				Ends: !o.follow, Dedupes: o.follow && o.maxFile == 0, // IDs are remembered by a file
				NoLag: true, // it is estimated
			})
		})
	}
}

// all reads a topic to its end.
func all(t testing.TB, b bus.Bus, topic string, o bus.ReadOptions) []bus.Event {
	t.Helper()
	r, err := b.Reader(t.Context(), topic, o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var got []bus.Event
	for {
		events, err := r.Next(t.Context(), 3)
		if err == io.EOF {
			if lag, err := r.Lag(t.Context()); lag != 0 || err != nil {
				t.Errorf("at the end %d wait, %v", lag, err)
			}
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, events...)
	}
}

func write(t testing.TB, path, content string) {
	t.Helper()
	data := []byte(content)
	if strings.HasSuffix(path, ".gz") {
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		_, _ = z.Write(data)
		_ = z.Close()
		data = packed.Bytes()
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func lines(events []bus.Event) string {
	var all []string
	for _, e := range events {
		all = append(all, fmt.Sprintf("%s:%d:%s", e.Partition, e.Offset, e.Body))
	}
	return strings.Join(all, "\n")
}

func TestFilesOfOthers(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "a.jsonl"), "{\"n\":1}\n\n{\"n\":2}\r\n{\"n\":3}")
	write(t, filepath.Join(root, "b.jsonl.gz"), "{\"n\":4}\n{\"n\":5}\n")
	write(t, filepath.Join(root, "c.csv"), "\xef\xbb\xbfid;\"the name\"\n1;Ann\n2;\"two\nlines; \"\"quoted\"\"\"\n3;\n4;too;many\n")
	write(t, filepath.Join(root, ".hidden.jsonl"), "{}\n")
	b := open(t, file.Config{Root: root})
	want := `a.jsonl:0:{"n":1}
a.jsonl:2:{"n":2}
a.jsonl:3:{"n":3}
b.jsonl.gz:0:{"n":4}
b.jsonl.gz:1:{"n":5}`
	if got := lines(all(t, b, "*.jsonl*", bus.ReadOptions{})); got != want {
		t.Errorf("%s", got)
	}
	want = `c.csv:0:{"id":"1","the name":"Ann"}
c.csv:1:{"id":"2","the name":"two\nlines; \"quoted\""}
c.csv:2:{"id":"3","the name":null}
c.csv:3:4;too;many`
	if got := lines(all(t, b, "c.csv", bus.ReadOptions{})); got != want {
		t.Errorf("%s", got)
	}
	from := bus.ReadOptions{Assigned: func(_ context.Context, _ []string) (map[string]int64, error) {
		return map[string]int64{"b.jsonl.gz": 1, "c.csv": 3, "a.jsonl": bus.Latest}, nil
	}}
	for topic, want := range map[string]string{"*.jsonl*": `b.jsonl.gz:1:{"n":5}`, filepath.Join(root, "c.csv"): "c.csv:3:4;too;many"} {
		if got := lines(all(t, b, topic, from)); got != want {
			t.Errorf("%s: %s", topic, got)
		}
	}
	if _, err := b.Reader(t.Context(), "nothing-*.jsonl", bus.ReadOptions{}); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
}

func TestPartsOfFiles(t *testing.T) {
	root := t.TempDir()
	broken := filepath.Join(root, "broken.jsonl.gz")
	write(t, broken, strings.Repeat("{\"n\":1}\n", 100_000))
	packed, _ := os.ReadFile(broken)
	_ = os.WriteFile(broken, packed[:len(packed)-20], 0o600)
	b := open(t, file.Config{Root: root})
	r, err := b.Reader(t.Context(), "broken.jsonl.gz", bus.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for err == nil {
		var events []bus.Event
		events, err = r.Next(t.Context(), 10_000)
		n += len(events)
	}
	if !fault.Is(err, fault.Corrupt) {
		t.Errorf("after %d events: %v", n, err)
	}
}

func TestFollowedFileThatShrinks(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "log.jsonl")
	write(t, path, "1\n2\n3\nhalf of a li")
	r, err := open(t, file.Config{Root: root, Follow: true, Poll: time.Millisecond}).Reader(t.Context(), "log.jsonl", bus.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := r.Next(t.Context(), 10); len(got) != 3 || err != nil {
		t.Fatalf("%s %v", lines(got), err)
	}
	write(t, path, "1\n2\n3\nhalf of a line\n")
	if got, err := r.Next(t.Context(), 10); lines(got) != "log.jsonl:3:half of a line" || err != nil {
		t.Fatalf("%s %v", lines(got), err)
	}
	write(t, path, "new\n")
	_, err = r.Next(t.Context(), 10)
	if gap, ok := errors.AsType[*bus.Gap](err); !ok || !gap.Wiped || gap.Asked != 4 {
		t.Errorf("%v", err)
	}
}

func event(id, body string) bus.Event { return bus.Event{ID: id, Body: []byte(body)} }

func put(t testing.TB, b bus.Bus, topic string, events ...bus.Event) {
	t.Helper()
	w, err := b.Writer(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestTornTail: whatever a crash leaves of the last lines, what was said to be
// written is read, once, and no half of a line ever.
func TestTornTail(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		root, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(root, "out", "done.events.jsonl")
		put(t, open(t, file.Config{Root: root}), "out/done.events.jsonl", event("a", "one"), event("b", "two"))
		kept, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		put(t, open(t, file.Config{Root: root}), "out/done.events.jsonl", event("c", "three"), event("d", "four"))
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		cut := rapid.IntRange(len(kept), len(whole)).Draw(r, "bytes that are left")
		if err := os.Truncate(path, int64(cut)); err != nil {
			t.Fatal(err)
		}
		if got := all(t, open(t, file.Config{Root: root}), "out/done.events.jsonl", bus.ReadOptions{}); len(got) < 2 || len(got) > 4 || got[len(got)-1].ID == "" {
			t.Fatalf("before the mending: %s", lines(got))
		}
		again := open(t, file.Config{Root: root})
		put(t, again, "out/done.events.jsonl", event("b", "two"), event("c", "three"), event("d", "four"), event("e", "five"))
		var bodies []string
		for _, e := range all(t, again, "out/done.events.jsonl", bus.ReadOptions{}) {
			bodies = append(bodies, string(e.Body))
		}
		if want := []string{"one", "two", "three", "four", "five"}; !slices.Equal(bodies, want) {
			t.Fatalf("%q after %d of %d bytes", bodies, cut, len(whole))
		}
	})
}

func TestLinesAreLines(t *testing.T) {
	root := t.TempDir()
	b := open(t, file.Config{Root: root, MaxFile: 10})
	put(t, b, "out.jsonl", event("1", "{\n \"a\": 1\n}"))
	put(t, b, "out.jsonl", event("2", "plain"))
	put(t, b, "out.jsonl", event("3", "next"), event("3", "next"))
	if got := lines(all(t, b, "out.jsonl", bus.ReadOptions{})); got != "out.jsonl:0:{\"a\":1}\nout.jsonl:1:plain\nout-000002.jsonl:0:next" {
		t.Error(got)
	}
	w, err := b.Writer(t.Context(), "out.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{"two\nlines", "", "  \n "} {
		err := w.Write(t.Context(), []bus.Event{event("x", "fine"), event("y", body)})
		if refused, ok := errors.AsType[*bus.Refused](err); !ok || refused.Index != 1 {
			t.Errorf("%q: %v", body, err)
		}
	}
	for _, topic := range []string{"out.csv", "out*.jsonl", "out.jsonl.gz", ""} {
		if _, err := b.Writer(t.Context(), topic); err == nil {
			t.Errorf("%q is written", topic)
		}
	}
}

func TestFoldersAndPipesAreNoFiles(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "folder.jsonl"), 0o700); err != nil {
		t.Fatal(err)
	}
	b := open(t, file.Config{Root: root})
	if _, err := b.Reader(t.Context(), "*.jsonl", bus.ReadOptions{}); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
	w, err := b.Writer(t.Context(), "folder.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(t.Context(), []bus.Event{event("", "x")}); err == nil {
		t.Error("a folder is written")
	}
}

func FuzzEnvelope(f *testing.F) {
	f.Add([]byte(`{"id":"a","key64":"/w==","headers":[["a","b"]],"body":"x"}`))
	f.Add([]byte(`{"body":"x","body64":"eA=="}`))
	f.Add([]byte(`[[[`))
	f.Fuzz(func(t *testing.T, line []byte) {
		if bytes.ContainsAny(line, "\r\n") {
			return
		}
		root := t.TempDir()
		if err := os.WriteFile(filepath.Join(root, "x.events.jsonl"), append(line, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
		b := open(t, file.Config{Root: root})
		for _, e := range all(t, b, "x.events.jsonl", bus.ReadOptions{}) {
			w, _ := b.Writer(t.Context(), "y.events.jsonl")
			if err := w.Write(t.Context(), []bus.Event{e}); err != nil {
				if _, ok := errors.AsType[*bus.Refused](err); ok {
					continue
				}
				t.Fatal(err)
			}
			again := all(t, b, "y.events.jsonl", bus.ReadOptions{})
			if len(again) != 1 || !bytes.Equal(again[0].Body, e.Body) || again[0].ID != e.ID || !bytes.Equal(again[0].Key, e.Key) {
				t.Fatalf("%+v became %+v", e, again)
			}
		}
	})
}
