package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"reflect"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/lake"
	"github.com/leat-ai/leat/pattern/batch"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/work"
)

// outputs are what was answered for a row, by column. Numbers are kept as
// their bits: equal means equal.
type outputs map[string]any

func (o outputs) put(name string, v any) {
	if f, ok := v.(float64); ok {
		v = math.Float64bits(f)
	}
	o[name] = v
}

// good are the rows that the rule of the source lets pass.
func good(n int) []payment {
	var list []payment
	for _, p := range payments(n) {
		if p.amount >= 0 {
			list = append(list, p)
		}
	}
	return list
}

// TestEqual: the same rows in real time, by both protocols and in requests of
// any size, and by batch, have the same outputs to the last bit.
func TestEqual(t *testing.T) {
	const n = 3000
	l := newLoop(t, n, listening)
	l.run(spec.KindPipeline, "learn", "first")
	rows, scored := good(n), l.scored("scores")
	if len(scored) != len(rows) {
		t.Fatalf("the batch has %d rows, not %d", len(scored), len(rows))
	}
	for _, ask := range []struct {
		name string
		rows func([]payment) (string, []outputs, error)
	}{{"JSON", l.score}, {"OIP", l.infer}} {
		for _, size := range []int{1, 2, 7, 1000} {
			for at := 0; at < len(rows); at += max(size, len(rows)/100) {
				part := rows[at:min(at+size, len(rows))]
				_, answers, err := ask.rows(part)
				if err != nil {
					t.Fatal(err)
				}
				for i, p := range part {
					if want := scored[int64(p.id)]; !reflect.DeepEqual(answers[i], want) {
						t.Fatalf("row %d by %s in a request of %d: %v; by batch: %v", p.id, ask.name, size, answers[i], want)
					}
				}
			}
		}
	}
}

// scored reads what a batch wrote, by the id of the row.
func (l *loop) scored(table string) map[int64]outputs {
	l.Helper()
	t, err := l.lake.Table(l.Context(), table)
	if err != nil {
		l.Fatal(err)
	}
	r, err := t.Scan(l.Context(), lake.ScanOptions{})
	if err != nil {
		l.Fatal(err)
	}
	rows := map[int64]outputs{}
	err = frame.Each(l.Context(), r, func(b frame.Batch) error {
		ids := b.Column(frame.Index(b.Schema(), "id")).(*array.Int64)
		for row := range int(b.NumRows()) {
			rows[ids.Value(row)] = outputsAt(b, row)
		}
		return nil
	})
	if err != nil {
		l.Fatal(err)
	}
	return rows
}

func outputsAt(b frame.Batch, row int) outputs {
	o := outputs{}
	for i, f := range b.Schema().Fields() {
		if f.Name == "id" || f.Name == "decision_id" || f.Name == "release" {
			continue
		}
		o.put(f.Name, valueAt(b.Column(i), row))
	}
	return o
}

func valueAt(c arrow.Array, row int) any {
	if c.IsNull(row) {
		return nil
	}
	switch c := c.(type) {
	case *array.Float64:
		return c.Value(row)
	case *array.Int64:
		return float64(c.Value(row))
	case *array.Boolean:
		return c.Value(row)
	}
	return c.ValueStr(row)
}

// post sends JSON and reads the answer, which must be a success.
func (l *loop) post(path string, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	res, err := http.Post(l.URL()+path, "application/json", bytes.NewReader(text))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %d %s", path, res.StatusCode, answer)
	}
	return json.Unmarshal(answer, into)
}

// score asks in the native way.
func (l *loop) score(rows []payment) (release string, list []outputs, err error) {
	body := map[string][]map[string]any{}
	for _, p := range rows {
		body["rows"] = append(body["rows"], p.row())
	}
	var answer struct {
		Release   string
		Decisions []map[string]any
	}
	if err := l.post("/v1/endpoints/risk/score", body, &answer); err != nil {
		return "", nil, err
	}
	for _, d := range answer.Decisions {
		o := outputs{}
		for name, v := range d {
			if name != "id" {
				o.put(name, v)
			}
		}
		list = append(list, o)
	}
	return answer.Release, list, nil
}

// infer asks by the Open Inference Protocol.
func (l *loop) infer(rows []payment) (release string, list []outputs, err error) {
	types := map[string]string{"amount": "FP64", "age": "INT64", "country": "BYTES", "online": "BOOL", "at": "BYTES"}
	var inputs []map[string]any
	for name, datatype := range types {
		var data []any
		for _, p := range rows {
			data = append(data, p.row()[name])
		}
		inputs = append(inputs, map[string]any{"name": name, "datatype": datatype, "shape": []int{len(rows)}, "data": data})
	}
	var answer struct {
		Parameters map[string]string
		Outputs    []struct {
			Name string
			Data []any
		}
	}
	if err := l.post("/v2/models/risk/infer", map[string]any{"inputs": inputs}, &answer); err != nil {
		return "", nil, err
	}
	list = make([]outputs, len(rows))
	for i := range list {
		list[i] = outputs{}
		for _, t := range answer.Outputs {
			list[i].put(t.Name, t.Data[i])
		}
	}
	return answer.Parameters["release"], list, nil
}

// TestSwap: while releases come and go under load, no request fails, and every
// answer is wholly of the release that it names.
func TestSwap(t *testing.T) {
	const n = 20_000
	l := newLoop(t, n, listening)
	l.run(spec.KindPipeline, "learn", "first")
	rows := good(n)[:25]
	expected := map[string][]outputs{}
	remember := func() {
		release, list, err := l.score(rows)
		if err != nil {
			t.Fatal(err)
		}
		expected[release] = list
	}
	remember()
	l.run(spec.KindPipeline, "relearn", "second")
	remember()
	if len(expected) != 2 {
		t.Fatalf("%d releases", len(expected))
	}
	var asking sync.WaitGroup
	var answered atomic.Int64
	seen := sync.Map{}
	stop := make(chan struct{})
	for i := range 4 {
		ask := l.score
		if i%2 == 1 {
			ask = l.infer
		}
		asking.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				release, list, err := ask(rows)
				if err != nil {
					t.Error(err)
					return
				}
				if !reflect.DeepEqual(list, expected[release]) {
					t.Errorf("an answer in the name of release %q is not all of it", release)
					return
				}
				answered.Add(1)
				seen.Store(release, true)
			}
		})
	}
	swaps := l.swapUntil(func() bool { return answered.Load() > 300 || t.Failed() })
	run, err := l.App.start(t.Context(), spec.KindBatch, "all", work.ID("pinned"))
	if err != nil {
		t.Fatal(err)
	}
	swaps += l.swapUntil(func() bool {
		s, err := l.runs.Get(t.Context(), run)
		return err != nil || s.State.Ended() || t.Failed()
	})
	close(stop)
	asking.Wait()
	l.pinned(run)
	releases := 0
	seen.Range(func(any, any) bool { releases++; return true })
	t.Logf("%d answers of %d releases during %d swaps", answered.Load(), releases, swaps)
	if releases != 2 {
		t.Errorf("answers are of %d releases", releases)
	}
}

// swapUntil rolls back and forth.
func (l *loop) swapUntil(enough func() bool) (swaps int) {
	l.Helper()
	for deadline := time.Now().Add(patience); swaps < 20 || !enough(); swaps++ {
		if _, err := l.Client().Rollback(l.Context(), "risk", strconv.Itoa(1+swaps%2)); err != nil {
			l.Fatal(err)
		}
		if time.Now().After(deadline) {
			l.Fatal("it does not end")
		}
		time.Sleep(5 * time.Millisecond)
	}
	return swaps
}

// pinned checks that a run scored with one release, the one that it reports.
func (l *loop) pinned(run string) {
	l.Helper()
	status, err := l.runs.Wait(l.Context(), run)
	if err != nil {
		l.Fatal(err)
	}
	report, err := batch.ReportOf(status)
	if err != nil {
		l.Fatal(err)
	}
	r, err := l.Client().SQL(l.Context(), "select min(release), max(release), count(*) from scores", 0)
	if err != nil {
		l.Fatal(err)
	}
	if want := fmt.Sprintf(`[[%q,%q,%d]]`, report.Release, report.Release, report.Rows); string(r.Rows) != want {
		l.Errorf("the batch has %s, want %s", r.Rows, want)
	}
}
