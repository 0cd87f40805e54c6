//go:build duckdb_arrow

package duckdb

import (
	"context"
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/array"
	driver "github.com/duckdb/duckdb-go/v2"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/store/query"
)

// makeViews gives the tables that a statement names their content. Views are
// temporary, so they belong to the connection and no other statement sees
// them.
func (r *run) makeViews(ctx context.Context, relations map[string]query.Relation, names []string) error {
	for i, table := range names {
		body, err := r.viewBody(ctx, relations[table], i)
		if err != nil {
			return fault.Wrap(err, fault.KindOf(err), "table %q", table)
		}
		if err := r.exec(ctx, "CREATE OR REPLACE TEMP VIEW "+name(table)+" AS "+body); err != nil {
			return fault.Wrap(err, fault.KindOf(err), "table %q", table)
		}
		r.undo = append(r.undo, "DROP VIEW IF EXISTS temp."+name(table))
	}
	return nil
}

// viewBody is the query behind a relation: its files, then its batches.
func (r *run) viewBody(ctx context.Context, rel query.Relation, number int) (string, error) {
	columns := rel.Columns
	if columns == nil && len(rel.Batches) > 0 {
		var err error
		if columns, err = frame.ColumnsOf(rel.Batches[0].Schema()); err != nil {
			return "", err
		}
	}
	var parts []string
	if len(rel.Files) > 0 {
		parts = append(parts, selectFiles(rel))
	}
	if len(rel.Batches) > 0 {
		table, err := r.load(ctx, rel.Batches, number)
		if err != nil {
			return "", err
		}
		parts = append(parts, "SELECT * FROM "+name(table))
	}
	switch {
	case len(parts) == 0 && len(columns) == 0:
		return "", fault.New(fault.Invalid, "the relation has neither files nor columns")
	case len(parts) == 1 && (len(rel.FieldIDs) > 0 || len(rel.Files) == 0 || len(rel.Columns) == 0):
		return parts[0], nil
	case len(columns) > 0:
		// Where files and batches have to be matched by name, the schema comes
		// first: it settles the order of columns and has those that all lack.
		parts = append([]string{selectNothing(columns)}, parts...)
	}
	return strings.Join(parts, " UNION ALL BY NAME "), nil
}

func selectNothing(columns []frame.Column) string {
	cells := make([]string, len(columns))
	for i, c := range columns {
		cells[i] = "CAST(NULL AS " + sqlType(c.Type) + ") AS " + name(c.Name)
	}
	return "SELECT " + strings.Join(cells, ", ") + " WHERE false"
}

func selectFiles(rel query.Relation) string {
	paths := make([]string, len(rel.Files))
	for i, f := range rel.Files {
		paths[i] = literal(f)
	}
	list := "[" + strings.Join(paths, ", ") + "]"
	if len(rel.FieldIDs) != len(rel.Columns) || len(rel.Columns) == 0 {
		return "SELECT * FROM read_parquet(" + list + ", union_by_name = true)"
	}
	fields := make([]string, len(rel.Columns))
	for i, c := range rel.Columns {
		fields[i] = fmt.Sprintf("%d: {name: %s, type: '%s', default_value: NULL}", rel.FieldIDs[i], literal(c.Name), sqlType(c.Type))
	}
	return "SELECT * FROM read_parquet(" + list + ", schema = MAP {" + strings.Join(fields, ", ") + "})"
}

// load copies batches into a temporary table: a statement may read them more
// than once.
func (r *run) load(ctx context.Context, batches []frame.Batch, number int) (string, error) {
	// The view of a stream is not temporary, so its name is one of its own.
	stream := fmt.Sprintf("__leat_stream_%d", r.engine.next.Add(1))
	table := fmt.Sprintf("__leat_rows_%d", number)
	reader, err := array.NewRecordReader(batches[0].Schema(), batches)
	if err != nil {
		return "", fault.Wrap(err, fault.Invalid, "the batches of a relation differ")
	}
	defer reader.Release()
	var release func()
	err = r.conn.Raw(func(c any) error {
		arrow, err := driver.NewArrowFromConn(c.(*driver.Conn))
		if err != nil {
			return err
		}
		release, err = arrow.RegisterView(reader, stream)
		return err
	})
	if err != nil {
		return "", engineFault(ctx, err)
	}
	defer release()
	err = r.exec(ctx, "CREATE OR REPLACE TEMP TABLE "+name(table)+" AS SELECT * FROM "+name(stream))
	r.undo = append(r.undo, "DROP TABLE IF EXISTS temp."+name(table))
	if derr := r.exec(context.WithoutCancel(ctx), "DROP VIEW IF EXISTS "+name(stream)); err == nil {
		err = derr
	}
	return table, err
}

func sqlType(t frame.Type) string {
	switch t {
	case frame.Int:
		return "BIGINT"
	case frame.Double:
		return "DOUBLE"
	case frame.Bool:
		return "BOOLEAN"
	case frame.Timestamp:
		return "TIMESTAMP WITH TIME ZONE"
	case frame.Date:
		return "DATE"
	}
	return "VARCHAR"
}
