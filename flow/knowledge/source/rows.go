package source

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// Rows makes documents of rows: of a query, or of a table.
type Rows struct {
	RowColumns
	// Base is what ids begin with: lake://articles gives lake://articles/12.
	Base string
	// MIME is what the text is: text/plain when empty.
	MIME string
	// Read returns rows: all, or, with a since and where there is a column that
	// tells, those changed from it on. next is what since is to be the next
	// time; where it is "" it is the greatest value of the column. It may return
	// ErrSame.
	Read func(ctx context.Context, since string) (rows frame.Reader, next string, err error)
	// IDs returns the ids of all rows, where Read may return fewer; nil: it
	// returns all.
	IDs func(ctx context.Context) (frame.Reader, error)
	// Done ends what the source has open; nil: nothing.
	Done func() error
}

// RowColumns says which columns of a row are what. The others are fields.
type RowColumns struct {
	ID, Title, URL, Readers, Changed string
	Text                             []string
}

// ErrSame is what List returns where nothing at all has changed since.
var ErrSame = fault.New(fault.Conflict, "nothing has changed")

// List reads the rows, which are their documents' text themselves.
func (r Rows) List(ctx context.Context, since string, found func(Item) error) (next string, err error) {
	changed := map[string]bool{}
	unchanged := []string{}
	partly := since != "" && r.IDs != nil
	if partly {
		// Before the rows: one that comes between is read twice and not lost.
		if unchanged, err = r.all(ctx); err != nil {
			return "", err
		}
	}
	rows, next, err := r.Read(ctx, since)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	high := highest{text: since}
	for n := 0; ; {
		batch, rerr := rows.Next(ctx)
		if rerr == io.EOF {
			break
		}
		if rerr != nil {
			return "", rerr
		}
		n += int(batch.NumRows())
		if n > maxItems {
			batch.Release()
			return "", fault.New(fault.TooLarge, "the query has more than %d rows", maxItems)
		}
		ferr := r.batch(batch, &high, changed, found)
		batch.Release()
		if ferr != nil {
			return "", ferr
		}
	}
	if partly {
		for _, id := range unchanged {
			if changed[id] {
				continue
			}
			if err := found(Item{ID: id, Same: true}); err != nil {
				return "", err
			}
		}
	}
	return cmp.Or(next, high.text), nil
}

// all lists the ids of all rows.
func (r Rows) all(ctx context.Context) (ids []string, err error) {
	rows, err := r.IDs(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for {
		batch, err := rows.Next(ctx)
		if err == io.EOF {
			return ids, nil
		}
		if err != nil {
			return nil, err
		}
		column, err := columnOf(batch, r.ID)
		for i := 0; err == nil && i < int(batch.NumRows()); i++ {
			if !column.IsNull(i) {
				ids = append(ids, r.id(cell(column, i)))
			}
		}
		batch.Release()
		if err != nil {
			return nil, err
		}
		if len(ids) > maxItems {
			return nil, fault.New(fault.TooLarge, "the query has more than %d rows", maxItems)
		}
	}
}

func (r Rows) id(value string) string { return strings.TrimRight(r.Base, "/") + "/" + value }

func (r Rows) batch(b frame.Batch, high *highest, seen map[string]bool, found func(Item) error) error {
	wanted := append([]string{r.ID, r.Title, r.URL, r.Readers, r.Changed}, r.Text...)
	columns := map[string]arrow.Array{}
	for _, name := range wanted {
		if name == "" {
			continue
		}
		c, err := columnOf(b, name)
		if err != nil {
			return err
		}
		columns[name] = c
	}
	for i := range int(b.NumRows()) {
		if columns[r.ID].IsNull(i) {
			return fault.New(fault.Invalid, "a row has no value in %q", r.ID).Hint("leave such rows out in the query")
		}
		if c := columns[r.Changed]; c != nil && !c.IsNull(i) {
			high.see(cell(c, i))
		}
		it := r.item(b, columns, i)
		if seen[it.ID] {
			return fault.New(fault.Invalid, "two rows have the id %q", it.ID).Hint("name a column that differs in every row")
		}
		seen[it.ID] = true
		if err := found(it); err != nil {
			return err
		}
	}
	return nil
}

// item makes a document of a row.
func (r Rows) item(b frame.Batch, columns map[string]arrow.Array, i int) Item {
	value := func(name string) string {
		if c := columns[name]; c != nil && !c.IsNull(i) {
			return cell(c, i)
		}
		return ""
	}
	var parts []string
	for _, name := range r.Text {
		if text := value(name); text != "" {
			parts = append(parts, text)
		}
	}
	it := Item{ID: r.id(value(r.ID)), Name: "row.txt", MIME: cmp.Or(r.MIME, "text/plain"), Title: value(r.Title), URL: value(r.URL),
		Text: []byte(strings.Join(parts, "\n\n")), Fields: map[string]string{}}
	it.Size = int64(len(it.Text))
	if strings.Contains(it.MIME, "html") {
		it.Name = "row.html"
	} else if strings.Contains(it.MIME, "markdown") {
		it.Name = "row.md"
	}
	if r.Readers != "" {
		it.Readers = readersIn(value(r.Readers))
	}
	h := sha256.New()
	for k, field := range b.Schema().Fields() {
		c := b.Column(k)
		if c.IsNull(i) {
			fmt.Fprintf(h, "%q-", field.Name)
			continue
		}
		text := cell(c, i)
		fmt.Fprintf(h, "%q%q", field.Name, text)
		if !slices.Contains(r.Text, field.Name) && field.Name != r.ID && field.Name != r.Readers {
			it.Fields[field.Name] = text
		}
	}
	fmt.Fprintf(h, "%q%q%q", r.Text, r.Title, r.URL)
	it.Mark = hex.EncodeToString(h.Sum(nil)[:16])
	return it
}

// readersIn reads a cell that names readers: one, a list with commas, a JSON
// array or an array of PostgreSQL. It is never nil: a cell without a name means
// nobody.
func readersIn(text string) []string {
	readers := []string{}
	text = strings.TrimSpace(text)
	if json.Unmarshal([]byte(text), &readers) == nil && readers != nil {
		return readers
	}
	readers = []string{}
	text = strings.TrimSuffix(strings.TrimPrefix(text, "{"), "}")
	for name := range strings.SplitSeq(text, ",") {
		if name = strings.Trim(strings.TrimSpace(name), `"`); name != "" {
			readers = append(readers, name)
		}
	}
	return readers
}

func columnOf(b frame.Batch, name string) (arrow.Array, error) {
	at := b.Schema().FieldIndices(name)
	if len(at) != 1 {
		return nil, fault.New(fault.Invalid, "the rows have no column %q", name)
	}
	return b.Column(at[0]), nil
}

// cell is a value as text, in the form that is read back.
func cell(c arrow.Array, i int) string { return c.ValueStr(i) }

// highest keeps the greatest value of a column that grows.
type highest struct{ text string }

func (h *highest) see(text string) {
	if h.text == "" || greater(text, h.text) {
		h.text = text
	}
}

// greater compares numbers as numbers and all else, times included, as text.
func greater(a, b string) bool {
	x, errA := strconv.ParseFloat(a, 64)
	y, errB := strconv.ParseFloat(b, 64)
	if errA == nil && errB == nil && !math.IsNaN(x) && !math.IsNaN(y) {
		if x != y {
			return x > y
		}
		return len(a) > len(b) || len(a) == len(b) && a > b // beyond 2^53
	}
	return a > b
}

// Open has nothing to read: rows are their documents.
func (Rows) Open(context.Context, Item, string) (Content, error) {
	return Content{}, fault.New(fault.NotFound, "the row is not there any more")
}

// Close ends what the source has open.
func (r Rows) Close() error {
	if r.Done == nil {
		return nil
	}
	return r.Done()
}
