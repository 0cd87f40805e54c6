package lake

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/store/query"
)

// Fresh gives rows that belong to a table and are not in its files yet, such
// as decisions that wait for compaction. It is called for every query that
// names a table; for tables that it does not know it returns nothing.
type Fresh interface {
	// Fresh returns batches with the references to release, and the columns
	// of the table for when the lake has no such table yet.
	Fresh(ctx context.Context, table string) ([]frame.Batch, []frame.Column, error)
}

// SQL answers queries over the tables of a lake.
//
// A table is read at its newest snapshot, or at an earlier one: "sales@42",
// "sales FOR VERSION AS OF 42" and "sales AT (VERSION => 42)" all mean the
// snapshot 42 of sales. Every table of a query is pinned when the query
// begins. "SHOW TABLES" lists the tables, with their rows and snapshots.
type SQL struct {
	Lake   *Lake
	Engine query.Engine
	Fresh  Fresh // nil: tables are what their files have
}

// Query answers one query; args are for its ? placeholders. The caller closes
// the reader. An unknown table is a NotFound fault, a mistake an Invalid one.
func (s SQL) Query(ctx context.Context, sql string, args ...any) (frame.Reader, error) {
	tokens, err := scanSQL(sql)
	if err != nil {
		return nil, err
	}
	if asksForTables(tokens) {
		return s.Lake.listing(ctx)
	}
	known, err := s.known(ctx, tokens)
	if err != nil {
		return nil, err
	}
	rewritten, wanted := pinTables(tokens, known)
	relations := make(map[string]query.Relation, len(wanted))
	defer releaseAll(relations)
	for key, w := range wanted {
		var release func()
		if relations[key], release, err = s.relation(ctx, w); err != nil {
			return nil, err
		}
		defer release()
	}
	return s.Engine.Query(ctx, query.Statement{SQL: rewritten, Relations: relations, Args: args})
}

// Query answers a query over the lake's tables with an engine, as SQL does.
func (l *Lake) Query(ctx context.Context, engine query.Engine, sql string, args ...any) (frame.Reader, error) {
	return SQL{Lake: l, Engine: engine}.Query(ctx, sql, args...)
}

func asksForTables(tokens []token) bool {
	var words []string
	for _, t := range tokens {
		if !t.space && t.text != ";" {
			words = append(words, strings.ToUpper(t.text))
		}
	}
	return slices.Equal(words, []string{"SHOW", "TABLES"})
}

// listing answers SHOW TABLES.
func (l *Lake) listing(ctx context.Context) (frame.Reader, error) {
	names, err := l.Tables(ctx)
	if err != nil {
		return nil, err
	}
	schema := frame.SchemaOf([]frame.Column{
		{Name: "name", Type: frame.String}, {Name: "rows", Type: frame.Int}, {Name: "snapshot", Type: frame.Int}, {Name: "committed", Type: frame.Timestamp},
	})
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for _, name := range names {
		t, err := l.Table(ctx, name)
		if fault.Is(err, fault.NotFound) {
			continue // dropped meanwhile
		}
		if err != nil {
			return nil, err
		}
		b.Field(0).(*array.StringBuilder).Append(name)
		b.Field(1).(*array.Int64Builder).Append(t.Rows())
		if t.snap == nil {
			b.Field(2).AppendNull()
			b.Field(3).AppendNull()
			continue
		}
		b.Field(2).(*array.Int64Builder).Append(t.Snapshot())
		b.Field(3).(*array.TimestampBuilder).AppendTime(snapshotOf(*t.snap).Time)
	}
	batch := b.NewRecordBatch()
	defer batch.Release()
	return frame.FromBatches(schema, batch), nil
}

func releaseAll(relations map[string]query.Relation) {
	for r := range maps.Values(relations) {
		for _, b := range r.Batches {
			b.Release()
		}
	}
}

// known maps the names that tokens may mean to tables, by lower case.
func (s SQL) known(ctx context.Context, tokens []token) (map[string]string, error) {
	names, err := s.Lake.Tables(ctx)
	if err != nil {
		return nil, err
	}
	known := make(map[string]string, len(names))
	for _, n := range names {
		known[strings.ToLower(n)] = n
	}
	if s.Fresh == nil {
		return known, nil
	}
	// A table may exist only as fresh rows so far.
	for _, t := range tokens {
		lower := strings.ToLower(t.name)
		if _, there := known[lower]; t.name == "" || there {
			continue
		}
		batches, columns, err := s.Fresh.Fresh(ctx, t.name)
		if err != nil {
			return nil, err
		}
		for _, b := range batches {
			b.Release()
		}
		if columns != nil {
			known[lower] = t.name
		}
	}
	return known, nil
}

// wantedTable is a table of a query. Snapshot 0 means the newest.
type wantedTable struct {
	name     string
	snapshot int64
}

func (s SQL) relation(ctx context.Context, w wantedTable) (r query.Relation, release func(), err error) {
	release = func() {}
	t, err := s.Lake.Table(ctx, w.name)
	if err != nil && !(fault.Is(err, fault.NotFound) && s.Fresh != nil) {
		return r, nil, err
	}
	if err == nil {
		if w.snapshot != 0 {
			if t, err = t.At(w.snapshot); err != nil {
				return r, nil, err
			}
		}
		if r, release, err = t.Relation(ctx); err != nil {
			return r, nil, err
		}
	}
	if s.Fresh == nil || w.snapshot != 0 {
		return r, release, nil
	}
	batches, columns, err := s.Fresh.Fresh(ctx, w.name)
	if err != nil {
		release()
		return r, nil, err
	}
	r.Batches = batches
	if r.Columns == nil {
		r.Columns = columns
	}
	return r, release, nil
}

// Relation is what a query engine needs to read t: its files, verified, and
// its columns. Those of a bucket are copied, and the copies stay until release
// is called. Tables that are too large for that are a TooLarge fault; when
// other queries fill the room, it is an Overloaded one.
func (t *Table) Relation(ctx context.Context) (r query.Relation, release func(), err error) {
	files, err := t.Files(ctx)
	if err != nil {
		return r, nil, err
	}
	r, release = query.Relation{Columns: t.Columns()}, func() {}
	if t.lake.local {
		err = t.lake.checkFiles(ctx, t, files)
		for _, f := range files {
			r.Files = append(r.Files, f.Path)
		}
	} else {
		r.Files, release, err = t.lake.fetchAll(ctx, t, files)
	}
	if err != nil {
		return query.Relation{}, nil, err
	}
	for _, f := range t.fields {
		r.FieldIDs = append(r.FieldIDs, f.id)
	}
	for _, f := range files {
		if digestOf(f.Path) == "" {
			r.FieldIDs = nil // written by another engine, perhaps without ids
		}
	}
	return r, release, nil
}

// pinTables writes the tokens anew with every table as a name of its own:
// "sales@42" for a pinned one, with the alias that it had without pinning. It
// returns the tables by those names.
func pinTables(tokens []token, known map[string]string) (string, map[string]wantedTable) {
	wanted := map[string]wantedTable{}
	var out strings.Builder
	for i := 0; i < len(tokens); {
		name, n := tableAt(tokens[i:], known)
		if n == 0 {
			out.WriteString(tokens[i].rewritten(next(tokens, i+1)))
			i++
			continue
		}
		i += n
		snapshot, m := versionAt(tokens[i:])
		key := name
		if m > 0 {
			key = name + "@" + strconv.FormatInt(snapshot, 10)
			i += m
		}
		wanted[key] = wantedTable{name, snapshot}
		out.WriteString(quoted(key))
		if _, plain, dotted := strings.Cut(name, "."); m > 0 || dotted {
			if !dotted {
				plain = name
			}
			if !hasAlias(tokens[i:]) {
				out.WriteString(" AS " + quoted(plain))
			}
		}
	}
	return out.String(), wanted
}

// tableAt tells whether tokens begin with a table's name, which may have a
// namespace, and how many they are.
func tableAt(tokens []token, known map[string]string) (string, int) {
	first := tokens[0].name
	if first == "" {
		return "", 0
	}
	if len(tokens) >= 3 && tokens[1].text == "." && tokens[2].name != "" {
		if name, ok := known[strings.ToLower(first+"."+tokens[2].name)]; ok {
			return name, 3
		}
		if strings.EqualFold(first, DefaultNamespace) {
			if name, ok := known[strings.ToLower(tokens[2].name)]; ok {
				return name, 3
			}
		}
	}
	name, ok := known[strings.ToLower(first)]
	if !ok || len(tokens) >= 2 && (tokens[1].text == "." || tokens[1].text == "(") {
		return "", 0 // a column of the table, or a function
	}
	return name, 1
}

// versionAt tells whether tokens begin with a snapshot, and how many they
// are.
func versionAt(tokens []token) (int64, int) {
	words := make([]token, 0, 8) // without spaces
	at := make([]int, 0, 8)
	for i, t := range tokens {
		if !t.space {
			words, at = append(words, t), append(at, i)
		}
		if len(words) == cap(words) {
			break
		}
	}
	match := func(pattern ...string) (int64, int) {
		if len(words) < len(pattern) {
			return 0, 0
		}
		snapshot := int64(0)
		for i, p := range pattern {
			if p != "#" {
				if !strings.EqualFold(words[i].text, p) {
					return 0, 0
				}
				continue
			}
			v, err := strconv.ParseInt(words[i].text, 10, 64)
			if err != nil {
				return 0, 0
			}
			snapshot = v
		}
		return snapshot, at[len(pattern)-1] + 1
	}
	for _, pattern := range [][]string{
		{"@", "#"}, {"FOR", "VERSION", "AS", "OF", "#"}, {"AT", "(", "VERSION", "=", ">", "#", ")"},
	} {
		if v, n := match(pattern...); n > 0 {
			return v, n
		}
	}
	return 0, 0
}

// hasAlias tells whether tokens begin with an alias of the table before.
func hasAlias(tokens []token) bool {
	t := next(tokens, 0)
	if t.name == "" {
		return false
	}
	return t.quoted || !slices.Contains(afterTable(), strings.ToUpper(t.name)) || strings.EqualFold(t.name, "AS")
}

// afterTable are the words that may follow a table and are not its alias.
func afterTable() []string {
	return []string{
		"WHERE", "GROUP", "ORDER", "HAVING", "LIMIT", "OFFSET", "UNION", "EXCEPT", "INTERSECT", "JOIN", "INNER", "LEFT", "RIGHT",
		"FULL", "CROSS", "NATURAL", "ASOF", "SEMI", "ANTI", "POSITIONAL", "LATERAL", "ON", "USING", "WINDOW", "QUALIFY", "SELECT",
		"TABLESAMPLE", "PIVOT", "UNPIVOT", "FETCH", "FOR", "AT", "USING", "SAMPLE",
	}
}

func next(tokens []token, i int) token {
	for ; i < len(tokens); i++ {
		if !tokens[i].space {
			return tokens[i]
		}
	}
	return token{}
}

func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
