package function_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/pattern/stream/function"
)

// module builds the module of testdata, once for all tests.
var module = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "function")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	out := filepath.Join(dir, "clean.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-o", out, "./testdata/clean")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=-mod=mod")
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, text)
	}
	return os.ReadFile(out)
})

var outputs = []frame.Column{{Name: "id", Type: frame.String}, {Name: "currency", Type: frame.String}, {Name: "amount", Type: frame.Double}}

func open(t testing.TB, c function.Config) *function.Function {
	t.Helper()
	raw, err := module()
	if err != nil {
		t.Fatal(err)
	}
	c.Outputs = outputs
	f, err := function.Open(t.Context(), raw, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func rows(t testing.TB, text string) frame.Batch {
	t.Helper()
	schema := frame.SchemaOf(append(append([]frame.Column(nil), outputs...), frame.Column{Name: "do", Type: frame.String}))
	b, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Release)
	return b
}

// shown writes the rows that came back with where they came from, and faults.
func shown(t *testing.T, f *function.Function, in frame.Batch) string {
	t.Helper()
	r, err := f.Apply(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Batch.Release()
	var lines []string
	for i, row := range r.Rows {
		line := fmt.Sprint(row)
		for _, c := range r.Batch.Columns() {
			line += "|" + c.ValueStr(i)
		}
		lines = append(lines, line)
	}
	for row, err := range r.Faults {
		if err != nil {
			lines = append(lines, fmt.Sprint(row, ": ", err))
		}
	}
	return strings.Join(lines, "\n")
}

func TestWhatRowsBecome(t *testing.T) {
	f := open(t, function.Config{Timeout: time.Minute})
	in := rows(t, `[{"id":"a","currency":"eur","amount":1.5},{"id":"b","do":"drop"},{"id":"c","currency":"X","do":"refuse"},
		{"id":"d","do":"twice"},{"id":"é\"","currency":"usd"},{"do":"look"},{"do":"wrong"},{"id":"z","do":"number"}]`)
	want := `0|a|EUR|1.5
3|d||(null)
3|d||(null)
4|é"|USD|(null)
5|2022-01-01|open /etc/passwd: Bad file number|0
2: the function refuses the row: no such X
6: the function returns a row that is not what its outputs say: byte 10: column "amount" takes a double, not the text "much"
7: the function returns a row that is not what its outputs say: the event is no JSON object`
	for range 2 { // an instance is used again
		if got := shown(t, f, in); got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
}

// TestBrokenRows: a module that traps, never returns or takes too much memory
// loses the rows that made it, and no other.
func TestBrokenRows(t *testing.T) {
	f := open(t, function.Config{Timeout: 2 * time.Second, Memory: 32 << 20})
	for do, why := range map[string]string{"trap": "the function broke", "loop": "took longer", "grab": "the function", "exit": "the function broke"} {
		text := "["
		for i := range 12 {
			if i > 0 {
				text += ","
			}
			text += fmt.Sprintf(`{"id":"%d"`, i)
			if i == 7 {
				text += fmt.Sprintf(`,"do":%q`, do)
			}
			text += "}"
		}
		r, err := f.Apply(t.Context(), rows(t, text+"]"))
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Rows) != 11 || r.Faults == nil || !fault.Is(r.Faults[7], fault.Rejected) || !strings.Contains(r.Faults[7].Error(), why) {
			t.Errorf("%s: %v %v", do, r.Rows, r.Faults)
		}
		r.Batch.Release()
	}
}

func TestManyAtOnce(t *testing.T) {
	f := open(t, function.Config{Timeout: time.Minute, Instances: 2})
	in := rows(t, `[{"id":"a","currency":"eur"},{"id":"b","currency":"usd"}]`)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 5 {
				r, err := f.Apply(t.Context(), in)
				if err != nil || r.Batch.NumRows() != 2 || r.Faults != nil {
					t.Error(r.Faults, err)
					return
				}
				r.Batch.Release()
			}
		})
	}
	all.Wait()
}

func TestWhatIsNoFunction(t *testing.T) {
	for name, raw := range map[string][]byte{
		"nothing": nil, "text": []byte("(module)"), "empty": []byte("\x00asm\x01\x00\x00\x00"),
		"cut": []byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60"),
	} {
		if f, err := function.Open(t.Context(), raw, function.Config{Outputs: outputs}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
			_ = f
		}
	}
}

func BenchmarkApply(b *testing.B) {
	f := open(b, function.Config{})
	var text []string
	for i := range 1000 {
		text = append(text, fmt.Sprintf(`{"id":"t%d","currency":"eur","amount":%d.5}`, i, i))
	}
	in := rows(b, "["+strings.Join(text, ",")+"]")
	for b.Loop() {
		r, err := f.Apply(b.Context(), in)
		if err != nil || r.Faults != nil {
			b.Fatal(err, r.Faults)
		}
		r.Batch.Release()
	}
	b.ReportMetric(float64(b.N*1000)/b.Elapsed().Seconds(), "rows/s")
}
