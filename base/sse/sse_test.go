package sse_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/sse"
)

// read returns every event of a stream as "type|data".
func read(from io.Reader, most int) (events []string, err error) {
	r := sse.NewReader(from, most)
	for {
		e, err := r.Next()
		if err != nil {
			return events, err
		}
		events = append(events, e.Type+"|"+string(e.Data))
	}
}

func TestEvents(t *testing.T) {
	for name, c := range map[string]struct {
		stream string
		want   []string
	}{
		"one":                  {"data: a\n\n", []string{"|a"}},
		"no space":             {"data:a\n\n", []string{"|a"}},
		"one space only":       {"data:  a\n\n", []string{"| a"}},
		"many lines":           {"data: a\ndata: b\ndata\n\n", []string{"|a\nb\n"}},
		"type":                 {"event: ping\ndata: {}\n\ndata: b\n\n", []string{"ping|{}", "|b"}},
		"type after data":      {"data: {}\nevent: ping\n\n", []string{"ping|{}"}},
		"type without data":    {"event: ping\n\ndata: b\n\n", []string{"|b"}},
		"comments and others":  {": hello\nid: 3\nretry: 10\nodd\ndata: a\n:\n\n: bye\n\n", []string{"|a"}},
		"CR":                   {"data: a\rdata: b\r\rdata: c\r\r", []string{"|a\nb", "|c"}},
		"CRLF":                 {"data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n", []string{"|a\nb", "|c"}},
		"mixed":                {"data: a\r\n\ndata: b\n\r\ndata: c\r\r\n", []string{"|a", "|b", "|c"}},
		"mark":                 {"\xEF\xBB\xBFdata: a\n\n", []string{"|a"}},
		"mark later":           {"\n\xEF\xBB\xBFdata: a\n\n", nil},
		"empty data":           {"data:\n\n", []string{"|"}},
		"empty lines":          {"\n\n\n\ndata: a\n\n\n\n", []string{"|a"}},
		"no end":               {"data: a\n\ndata: [DONE]", []string{"|a", "|[DONE]"}},
		"no empty line at end": {"data: a\n\ndata: b\n", []string{"|a", "|b"}},
		"half a field":         {"data: a\n\ndat", []string{"|a"}},
		"nothing":              {"", nil},
		"bytes that are none":  {"data: \xff\xfe\x00\n\n", []string{"|\xff\xfe\x00"}},
		"case counts":          {"Data: a\n\n", nil},
		"field without colon":  {"data\n\n", []string{"|"}},
	} {
		for how, wrap := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "halves": iotest.HalfReader, "with its end": iotest.DataErrReader,
		} {
			got, err := read(wrap(strings.NewReader(c.stream)), 1000)
			if err != io.EOF || !slices.Equal(got, c.want) {
				t.Errorf("%s, %s: %q, %v", name, how, got, err)
			}
		}
	}
}

func TestAnEventIsBounded(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	for name, stream := range map[string]string{
		"a line": "data: " + long, "lines": strings.Repeat("data: "+long[:100]+"\n", 100), "a comment": ":" + long, "a type": "event:" + long + "\n",
		"a field": long,
	} {
		got, err := read(iotest.HalfReader(strings.NewReader("data: a\n\n"+stream)), 500)
		if !fault.Is(err, fault.TooLarge) || len(got) != 1 {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	// Many small events are no large one.
	got, err := read(strings.NewReader(strings.Repeat("data: "+long[:400]+"\n\n", 100)), 500)
	if err != io.EOF || len(got) != 100 {
		t.Errorf("%d events, %v", len(got), err)
	}
}

func TestABrokenBody(t *testing.T) {
	broken := errors.New("reset")
	got, err := read(io.MultiReader(strings.NewReader("data: a\n\ndata: b"), iotest.ErrReader(broken)), 500)
	if err != broken || len(got) != 1 {
		t.Errorf("%q, %v: what a failure cuts off is no event", got, err)
	}
	r := sse.NewReader(iotest.ErrReader(broken), 500)
	for range 2 {
		if _, err := r.Next(); err != broken {
			t.Error(err)
		}
	}
	if _, err := read(stuck{}, 500); err != io.ErrNoProgress {
		t.Error(err)
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

// What was written as events is read as them, however lines end and however
// the stream is cut into reads.
func TestWrittenIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SliceOf(rapid.StringMatching(`[a-z: \x{e9}]{0,12}(\n[a-z: ]{0,5}){0,2}`)).Draw(t, "texts")
		end := rapid.SampledFrom([]string{"\n", "\r", "\r\n"}).Draw(t, "end")
		var stream bytes.Buffer
		for _, text := range texts {
			for line := range strings.SplitSeq(text, "\n") {
				stream.WriteString("data: " + line + end)
			}
			stream.WriteString(end)
		}
		got, err := read(&pieces{t: t, left: stream.Bytes()}, 1000)
		if err != io.EOF || len(got) != len(texts) {
			t.Fatalf("%q, %v", got, err)
		}
		for i := range got {
			if got[i] != "|"+texts[i] {
				t.Fatalf("%q is read as %q", texts[i], got[i])
			}
		}
	})
}

type pieces struct {
	t    *rapid.T
	left []byte
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.left) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.left[:min(rapid.IntRange(1, 9).Draw(p.t, "piece"), len(p.left))])
	p.left = p.left[n:]
	return n, nil
}

// However a stream is cut, its events are the same.
func FuzzReader(f *testing.F) {
	f.Add("data: a\r\n\r\nevent: x\rdata: {}\n\n", 3)
	f.Add("\xEF\xBB\xBFdata:\n\n:c\n\nid:1\n", 1)
	f.Add("data: \xe2\x82", 2)
	f.Fuzz(func(t *testing.T, stream string, _ int) {
		const most = 64
		whole, err1 := read(strings.NewReader(stream), most)
		bits, err2 := read(iotest.OneByteReader(strings.NewReader(stream)), most)
		if fault.KindOf(err1) != fault.KindOf(err2) {
			t.Fatalf("%v, %v", err1, err2)
		}
		if !slices.Equal(whole, bits) {
			t.Fatalf("%q, %q", whole, bits)
		}
		for _, e := range whole {
			if len(e) > most+1 {
				t.Fatalf("an event of %d bytes", len(e))
			}
		}
	})
}

func BenchmarkReader(b *testing.B) {
	stream := strings.Repeat("data: "+strings.Repeat("x", 200)+"\n\n", 1000)
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := drain(strings.NewReader(stream)); err != io.EOF {
			b.Fatal(err)
		}
	}
}

func drain(from io.Reader) (n int, err error) {
	r := sse.NewReader(from, 1<<20)
	for ; ; n++ {
		if _, err := r.Next(); err != nil {
			return n, err
		}
	}
}
