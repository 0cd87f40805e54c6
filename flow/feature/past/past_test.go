package past_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature/past"
)

// event is a row of every table of these tests; a nil is a NULL.
type event struct {
	id     *int64
	city   *string
	at     *int64
	known  *int64
	amount *float64
	text   *string
}

var eventColumns = []frame.Column{
	{Name: "id", Type: frame.Int}, {Name: "city", Type: frame.String}, {Name: "at", Type: frame.Timestamp},
	{Name: "known", Type: frame.Timestamp}, {Name: "amount", Type: frame.Double}, {Name: "text", Type: frame.String},
}

func maybe[T any](t *rapid.T, g *rapid.Generator[T], name string) *T {
	if rapid.IntRange(0, 9).Draw(t, name+" is null") == 0 {
		return nil
	}
	v := g.Draw(t, name)
	return &v
}

// events draws a table with ties, late rows, gaps, duplicates and NULLs.
func events(t *rapid.T, name string, most int) []event {
	n := rapid.IntRange(0, most).Draw(t, name)
	span := rapid.SampledFrom([]int64{5, 50, 5000}).Draw(t, name+" span")
	list := make([]event, n)
	for i := range list {
		e := &list[i]
		e.id = maybe(t, rapid.Int64Range(0, 3), "id")
		e.city = maybe(t, rapid.SampledFrom([]string{"", "a", "b"}), "city")
		e.at = maybe(t, rapid.Int64Range(-span, span), "at")
		e.amount = maybe(t, rapid.SampledFrom([]float64{0, 1, 2.5, -3, 1e17, 0.1}), "amount")
		e.text = maybe(t, rapid.SampledFrom([]string{"", "x", "yy"}), "text")
		if e.at != nil {
			late := *e.at + max(0, rapid.Int64Range(-span, span).Draw(t, "late"))
			e.known = maybe(t, rapid.Just(late), "known")
		}
	}
	return list
}

func appendTo[T any](b interface {
	Append(T)
	AppendNull()
}, v *T) {
	if v == nil {
		b.AppendNull()
		return
	}
	b.Append(*v)
}

// batches cuts rows into batches of some sizes.
func batches(list []event, size int) frame.Reader {
	schema := frame.SchemaOf(eventColumns)
	var all []frame.Batch
	for chunk := range slices.Chunk(list, size) {
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		for _, e := range chunk {
			appendTo(b.Field(0).(*array.Int64Builder), e.id)
			appendTo(b.Field(1).(*array.StringBuilder), e.city)
			appendTo(b.Field(2).(*array.TimestampBuilder), (*arrow.Timestamp)(e.at))
			appendTo(b.Field(3).(*array.TimestampBuilder), (*arrow.Timestamp)(e.known))
			appendTo(b.Field(4).(*array.Float64Builder), e.amount)
			appendTo(b.Field(5).(*array.StringBuilder), e.text)
		}
		all = append(all, b.NewRecordBatch())
		b.Release()
	}
	return frame.FromBatches(schema, all...)
}

func from(list []event, size int) past.Events {
	return func(context.Context, []string) (frame.Reader, error) { return batches(list, size), nil }
}

// key is the entity of a row, nil when part of it is NULL.
func (e event) key(names []string) (string, bool) {
	text := ""
	for _, n := range names {
		switch {
		case n == "id" && e.id != nil:
			text += fmt.Sprint(*e.id, ";")
		case n == "city" && e.city != nil:
			text += fmt.Sprintf("%q;", *e.city)
		default:
			return "", false
		}
	}
	return text, true
}

// visible tells whether a row of an entity at a time sees an event: the
// definition, as plainly as it can be said.
func visible(e event, names []string, key string, at int64, known bool) bool {
	k, ok := e.key(names)
	return ok && k == key && e.at != nil && *e.at < at && (!known || e.known != nil && *e.known <= at)
}

func columns(names ...string) []frame.Column {
	var list []frame.Column
	for _, n := range names {
		list = append(list, eventColumns[slices.IndexFunc(eventColumns, func(c frame.Column) bool { return c.Name == n })])
	}
	return list
}

func text[T any](v *T) string {
	if v == nil {
		return "NULL"
	}
	return fmt.Sprint(*v)
}

// nullsLast orders values as SQL does.
func nullsLast[T cmp.Ordered](a, b *T) int {
	switch {
	case a == nil || b == nil:
		return cmp.Compare(fmt.Sprint(a == nil), fmt.Sprint(b == nil))
	default:
		return cmp.Compare(*a, *b)
	}
}

// newest is the naive reference of Latest.
func newest(list []event, names []string, row event, ttl int64, known bool) string {
	key, ok := row.key(names)
	if !ok || row.at == nil {
		return "NULL NULL"
	}
	var best *event
	for i := range list {
		e := &list[i]
		if !visible(*e, names, key, *row.at, known) {
			continue
		}
		if best == nil || cmp.Or(-cmp.Compare(*e.at, *best.at), nullsLast(e.amount, best.amount), nullsLast(e.text, best.text)) < 0 {
			best = e
		}
	}
	if best == nil || ttl > 0 && *best.at < *row.at-ttl {
		return "NULL NULL"
	}
	return text(best.amount) + " " + text(best.text)
}

func shown(columns []arrow.Array, row int) string {
	line := ""
	for i, c := range columns {
		if i > 0 {
			line += " "
		}
		if c.IsNull(row) {
			line += "NULL"
			continue
		}
		line += c.ValueStr(row)
	}
	return line
}

// take reads what was found in steps of some size.
func take(t testing.TB, j *past.Joined, size int) map[string][]string {
	found := map[string][]string{}
	for j.Left() > 0 {
		n := int(min(int64(size), j.Left()))
		got, err := j.Next(context.Background(), n)
		if err != nil {
			t.Fatal(err)
		}
		for view, columns := range got {
			for row := range n {
				found[view] = append(found[view], shown(columns, row))
			}
		}
		past.Release(got)
	}
	return found
}

func TestTheNewestRowIsThatOfTheReference(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		rows := events(rt, "rows", 40)
		type given struct {
			list  []event
			names []string
			ttl   int64
			known bool
		}
		var views []past.View
		var all []given
		for i := range rapid.IntRange(1, 3).Draw(rt, "views") {
			g := given{
				list:  events(rt, "events", 60),
				names: rapid.SampledFrom([][]string{{"id"}, {"city"}, {"id", "city"}}).Draw(rt, "entity"),
				ttl:   rapid.SampledFrom([]int64{0, 1, 10, 1000}).Draw(rt, "ttl"),
				known: rapid.Bool().Draw(rt, "known"),
			}
			n := past.Newest{Name: fmt.Sprint("view", i), Keys: columns(g.names...), Columns: columns("amount", "text"), Time: "at",
				TTL: time.Duration(g.ttl) * time.Microsecond, Events: from(g.list, rapid.IntRange(1, 30).Draw(rt, "batch"))}
			if g.known {
				n.Known = "known"
			}
			v, err := past.Latest(n)
			if err != nil {
				rt.Fatal(err)
			}
			views, all = append(views, v), append(all, g)
		}
		j, err := past.Join(context.Background(), batches(rows, 7), "at", views, past.Options{
			Scratch: dir, Memory: rapid.SampledFrom([]int64{0, 1, 9 << 10, 40 << 10}).Draw(rt, "memory"),
			Workers: rapid.IntRange(0, 3).Draw(rt, "workers"), At: past.NoTime,
		})
		if err != nil {
			rt.Fatal(err)
		}
		defer j.Close()
		found := take(t, j, rapid.IntRange(1, 50).Draw(rt, "step"))
		for i, g := range all {
			for at, row := range rows {
				if want, got := newest(g.list, g.names, row, g.ttl, g.known), found[fmt.Sprint("view", i)][at]; got != want {
					rt.Fatalf("view %d, row %d: %s, not %s", i, at, got, want)
				}
			}
		}
	})
}

func TestAViewWithoutATimeIsRefused(t *testing.T) {
	_, err := past.Latest(past.Newest{Name: "v", Keys: columns("id"), Columns: columns("amount"), Events: from(nil, 1)})
	if !fault.Is(err, fault.Invalid) || fault.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
}
