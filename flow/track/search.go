package track

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/track/filter"
	"github.com/leat-ai/leat/store/catalog"
)

const (
	maxOrders  = 20               // parts of an order
	searchTime = 30 * time.Second // that one search may take
)

// vocabulary says what the rows of one kind can be asked for.
type vocabulary[T any] struct {
	// clause makes the test of a comparison, field the value to sort by; both
	// refuse what the rows do not have.
	clause func(filter.Clause) (func(*T) bool, error)
	field  func(filter.Field) (func(*T) sortable, error)
	// name is the one name of a field that has several.
	name func(filter.Field) string
	// natural is the order where none is given, and ties what is added to one
	// that is; the last of each tells all rows apart.
	natural, ties []key[T]
}

// key is one part of an order.
type key[T any] struct {
	name       string // of the field: no order has it twice
	of         func(*T) sortable
	descending bool
}

// sortable is a value that rows are sorted by: numbers among themselves, texts
// among themselves. Rows of a later class come later in either direction.
type sortable struct {
	class  class
	number float64
	text   string
}

type class int8

const (
	aValue class = iota
	aNaN
	missing
)

func numeric(n float64) sortable {
	if math.IsNaN(n) {
		return sortable{class: aNaN}
	}
	return sortable{number: n}
}

func textual(s string, ok bool) sortable {
	if !ok {
		return sortable{class: missing}
	}
	return sortable{text: s}
}

// query is a search that is understood.
type query[T any] struct {
	where  []func(*T) bool
	order  []key[T]
	sorted bool   // order is the natural one
	print  string // of the question, for tokens
}

// compile understands a filter and an order.
func (v vocabulary[T]) compile(text string, orders []string) (query[T], error) {
	clauses, err := filter.Parse(text)
	if err != nil {
		return query[T]{}, err
	}
	var q query[T]
	for _, c := range clauses {
		match, err := v.clause(c)
		if err != nil {
			return q, err
		}
		q.where = append(q.where, match)
	}
	return q, v.arrange(&q, orders)
}

func (v vocabulary[T]) arrange(q *query[T], orders []string) error {
	if len(orders) > maxOrders {
		return fault.New(fault.Invalid, "the order has %d parts; %d is the most", len(orders), maxOrders)
	}
	for _, text := range orders {
		o, err := filter.ParseOrder(text)
		if err != nil {
			return err
		}
		of, err := v.field(o.Field)
		if err != nil {
			return err
		}
		q.order = append(q.order, key[T]{v.name(o.Field), of, o.Descending})
	}
	return v.settle(q)
}

// settle adds to an order what tells all rows apart.
func (v vocabulary[T]) settle(q *query[T]) error {
	seen := map[string]bool{}
	for _, k := range q.order {
		if seen[k.name] {
			return fault.New(fault.Invalid, "the order has %s twice", k.name)
		}
		seen[k.name] = true
	}
	if len(q.order) == 0 {
		q.order, q.sorted = v.natural, true
		return nil
	}
	for _, k := range v.ties {
		if !seen[k.name] {
			q.order = append(q.order, k)
		}
	}
	return nil
}

func (q *query[T]) matches(row *T) bool {
	for _, match := range q.where {
		if !match(row) {
			return false
		}
	}
	return true
}

// place is where a row stands in an order.
type place []sortable

func (q *query[T]) place(row *T, into place) place {
	for _, k := range q.order {
		into = append(into, k.of(row))
	}
	return into
}

func (q *query[T]) compare(a, b place) int {
	for i := range q.order {
		x, y := &a[i], &b[i]
		if x.class != y.class {
			return cmp.Compare(x.class, y.class)
		}
		c := cmp.Compare(x.number, y.number)
		if c == 0 {
			c = cmp.Compare(x.text, y.text)
		}
		if c != 0 && q.order[i].descending {
			return -c
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

// found is a row with its place.
type found[T any] struct {
	row   *T
	place place
}

// top keeps the first rows of an order out of all that it is shown: a heap
// whose root is the last of those kept.
type top[T any] struct {
	query *query[T]
	most  int
	after place // rows up to here are not wanted; nil for none
	kept  []found[T]
	spare place
}

// add shows a row. It returns false when no later row of the natural order
// can be wanted.
func (t *top[T]) add(row *T, sorted bool) bool {
	t.spare = t.query.place(row, t.spare[:0])
	if t.after != nil && t.query.compare(t.spare, t.after) <= 0 {
		return true
	}
	if len(t.kept) < t.most {
		t.kept = append(t.kept, found[T]{row, slices.Clone(t.spare)})
		t.rise(len(t.kept) - 1)
		return !(sorted && t.query.sorted) || len(t.kept) < t.most
	}
	if t.query.compare(t.spare, t.kept[0].place) < 0 {
		t.kept[0].row = row
		copy(t.kept[0].place, t.spare)
		t.sink()
	}
	return true
}

func (t *top[T]) rise(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if t.query.compare(t.kept[i].place, t.kept[parent].place) <= 0 {
			return
		}
		t.kept[i], t.kept[parent] = t.kept[parent], t.kept[i]
		i = parent
	}
}

func (t *top[T]) sink() {
	for i := 0; ; {
		last := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(t.kept); child++ {
			if t.query.compare(t.kept[child].place, t.kept[last].place) > 0 {
				last = child
			}
		}
		if last == i {
			return
		}
		t.kept[i], t.kept[last] = t.kept[last], t.kept[i]
		i = last
	}
}

// page returns the rows in their order, and the token of the page after.
func (t *top[T]) page(size int) (rows []*T, next string) {
	slices.SortFunc(t.kept, func(a, b found[T]) int { return t.query.compare(a.place, b.place) })
	for i, f := range t.kept {
		if i == size {
			return rows, t.query.token(t.kept[i-1].place)
		}
		rows = append(rows, f.row)
	}
	return rows, ""
}

// search runs a query over groups of an index; show says which of a group's
// rows are there to be seen.
func search[T any](ctx context.Context, tx catalog.Tx, x *index[T], groups []int64, q *query[T], p Page,
	show func(ctx context.Context, tx catalog.Tx, group int64) (func(*T) bool, error)) (rows []*T, next string, err error) {
	ctx, cancel := context.WithTimeout(ctx, searchTime)
	defer cancel()
	t := top[T]{query: q, most: p.Size + 1}
	if t.after, err = q.after(p.After); err != nil {
		return nil, "", err
	}
	groups = slices.Compact(slices.Sorted(slices.Values(groups)))
	for _, group := range groups {
		visible, err := show(ctx, tx, group)
		if err != nil {
			return nil, "", err
		}
		if visible == nil {
			continue
		}
		err = x.each(ctx, tx, group, func(row *T, sorted bool) bool {
			if !visible(row) || !q.matches(row) {
				return true
			}
			return t.add(row, sorted && len(groups) == 1)
		})
		if err != nil {
			return nil, "", err
		}
	}
	rows, next = t.page(p.Size)
	return rows, next, nil
}

// fingerprint makes the tokens of a query its own: a token of another
// question is refused.
func (q *query[T]) fingerprint(question ...string) {
	sum := sha256.Sum256([]byte(sealToken(question...)))
	q.print = hex.EncodeToString(sum[:8])
}

// token seals a place, with the question it is a place in.
func (q *query[T]) token(at place) string {
	parts := []string{q.print}
	for _, s := range at {
		parts = append(parts, strconv.Itoa(int(s.class)), strconv.FormatInt(bits(s.number), 10), s.text)
	}
	return sealToken(parts...)
}

func (q *query[T]) after(token string) (place, error) {
	if token == "" {
		return nil, nil
	}
	parts, err := openToken(token)
	if err != nil || len(parts) != 1+3*len(q.order) {
		return nil, badToken()
	}
	if parts[0] != q.print {
		return nil, fault.New(fault.Invalid, "the page token is one of another search").Hint("ask for the pages of a search with the same filter and order")
	}
	var at place
	for some := range slices.Chunk(parts[1:], 3) {
		c, err := strconv.Atoi(some[0])
		n, err2 := strconv.ParseInt(some[1], 10, 64)
		if err != nil || err2 != nil || c < int(aValue) || c > int(missing) {
			return nil, badToken()
		}
		at = append(at, sortable{class(c), float(n), some[2]})
	}
	return at, nil
}

// A token is opaque to clients.
func sealToken(parts ...string) string {
	text, _ := json.Marshal(parts) // strings alone
	return base64.RawURLEncoding.EncodeToString(text)
}

func openToken(token string) (parts []string, err error) {
	text, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return nil, err
	}
	return parts, json.Unmarshal(text, &parts)
}

func badToken() error {
	return fault.New(fault.Invalid, "Invalid page token").Hint("use the token of the page before as it is")
}

// The helpers of vocabularies.

func numberClause[T any](c filter.Clause, of func(*T) (float64, bool)) (func(*T) bool, error) {
	if !c.Op.Numeric() {
		return nil, badOp(c, "a number")
	}
	if c.Value.Kind != filter.Number {
		return nil, fault.New(fault.Invalid, "%s is a number and is compared with one", c.Field)
	}
	want := c.Value.Number
	return func(row *T) bool {
		n, ok := of(row)
		return ok && c.Op.Number(n, want)
	}, nil
}

// textClause compares texts; null says whether IS NULL may be asked, lists
// whether IN may.
func textClause[T any](c filter.Clause, of func(*T) (string, bool), null, lists bool) (func(*T) bool, error) {
	switch c.Op {
	case filter.IsNull, filter.IsNotNull:
		if !null {
			return nil, badOp(c, "an attribute")
		}
		return func(row *T) bool { _, ok := of(row); return ok == (c.Op == filter.IsNotNull) }, nil
	case filter.In, filter.NotIn:
		if !lists {
			return nil, badOp(c, "this field")
		}
	case filter.Equal, filter.NotEqual, filter.Like, filter.ILike:
		if c.Value.Kind != filter.Text {
			return nil, fault.New(fault.Invalid, "%s is a text and is compared with one in quotes", c.Field)
		}
	default:
		return nil, badOp(c, "a text")
	}
	match := c.Matcher()
	return func(row *T) bool {
		s, ok := of(row)
		return ok && match(s)
	}, nil
}

func badOp(c filter.Clause, what string) error {
	return fault.New(fault.Invalid, "%s cannot be asked of %s: %s", c.Op, c.Field, what)
}

func unknownField(f filter.Field, known string) error {
	return fault.New(fault.Invalid, "there is no %s to search by", f).Hint("use %s", known)
}
