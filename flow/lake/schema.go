package lake

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// fieldIDKey is the metadata key by which the Parquet library reads and
// writes the field ids that Iceberg identifies columns by.
const fieldIDKey = "PARQUET:field_id"

func icebergType(t frame.Type) (iceberg.Type, error) {
	switch t {
	case frame.String:
		return iceberg.PrimitiveTypes.String, nil
	case frame.Int:
		return iceberg.PrimitiveTypes.Int64, nil
	case frame.Double:
		return iceberg.PrimitiveTypes.Float64, nil
	case frame.Bool:
		return iceberg.PrimitiveTypes.Bool, nil
	case frame.Timestamp:
		return iceberg.PrimitiveTypes.TimestampTz, nil
	case frame.Date:
		return iceberg.PrimitiveTypes.Date, nil
	}
	return nil, fault.New(fault.Unsupported, "unknown column type %q", t)
}

// frameType is the Leat type that an Iceberg column is read as. Other engines
// may have made columns with types that Leat itself does not write.
func frameType(t iceberg.Type) (frame.Type, error) {
	switch t := t.(type) {
	case iceberg.StringType, iceberg.UUIDType:
		return frame.String, nil
	case iceberg.Int32Type, iceberg.Int64Type:
		return frame.Int, nil
	case iceberg.Float32Type, iceberg.Float64Type, iceberg.DecimalType:
		return frame.Double, nil
	case iceberg.BooleanType:
		return frame.Bool, nil
	case iceberg.TimestampType, iceberg.TimestampTzType, iceberg.TimestampNsType, iceberg.TimestampTzNsType:
		return frame.Timestamp, nil
	case iceberg.DateType:
		return frame.Date, nil
	case *iceberg.ListType, *iceberg.StructType, *iceberg.MapType:
		return frame.String, nil // read as JSON text
	default:
		return "", fault.New(fault.Unsupported, "column type %s", t)
	}
}

func icebergSchema(columns []frame.Column) (*iceberg.Schema, error) {
	if len(columns) == 0 {
		return nil, fault.New(fault.Invalid, "a table needs at least one column")
	}
	seen := map[string]bool{}
	fields := make([]iceberg.NestedField, len(columns))
	for i, c := range columns {
		if c.Name == "" || len(c.Name) > maxName {
			return nil, fault.New(fault.Invalid, "column %d has no usable name", i+1)
		}
		// SQL does not tell "A" from "a", so a table may not have both.
		folded := strings.ToLower(c.Name)
		if seen[folded] {
			return nil, fault.New(fault.Invalid, "two columns are named %q", c.Name)
		}
		seen[folded] = true
		t, err := icebergType(c.Type)
		if err != nil {
			return nil, fault.Wrap(err, fault.Unsupported, "column %q", c.Name)
		}
		fields[i] = iceberg.NestedField{ID: i + 1, Name: c.Name, Type: t}
	}
	return iceberg.NewSchema(0, fields...), nil
}

// fieldOf is a column as a table has it: with the id that Iceberg knows it by.
type fieldOf struct {
	frame.Column
	id int
}

func fieldsOf(schema *iceberg.Schema) ([]fieldOf, error) {
	fields := make([]fieldOf, 0, len(schema.Fields()))
	for _, f := range schema.Fields() {
		t, err := frameType(f.Type)
		if err != nil {
			return nil, fault.Wrap(err, fault.Unsupported, "column %q", f.Name)
		}
		fields = append(fields, fieldOf{frame.Column{Name: f.Name, Type: t}, f.ID})
	}
	return fields, nil
}

// fileSchema is the schema of a data file: that of the table, with field ids.
func fileSchema(fields []fieldOf) *arrow.Schema {
	out := make([]arrow.Field, len(fields))
	for i, f := range fields {
		out[i] = arrow.Field{
			Name: f.Name, Type: f.Type.Arrow(), Nullable: true,
			Metadata: arrow.NewMetadata([]string{fieldIDKey}, []string{strconv.Itoa(f.id)}),
		}
	}
	return arrow.NewSchema(out, nil)
}

// evolve adds the columns that the table does not have, as one commit, and
// returns the table as it is then.
func (t *Table) evolve(ctx context.Context, columns []frame.Column) (*Table, error) {
	fresh, err := missing(t.name, t.fields, columns)
	if err != nil || len(fresh) == 0 {
		return t, err
	}
	unlock := t.lake.lock(t.name)
	defer unlock()
	return t.lake.retry(ctx, t.name, func(now *Table) (*Table, error) {
		fresh, err := missing(t.name, now.fields, columns)
		if err != nil || len(fresh) == 0 {
			return now, err
		}
		txn := now.ice.NewTransaction()
		update := txn.UpdateSchema(true, false)
		for _, c := range fresh {
			it, err := icebergType(c.Type)
			if err != nil {
				return nil, err
			}
			update.AddColumn([]string{c.Name}, it, "", false, nil)
		}
		if err := update.Commit(); err != nil {
			return nil, err
		}
		ice, err := txn.Commit(ctx)
		if err != nil {
			return nil, err
		}
		return t.lake.tableOf(t.name, ice)
	})
}

// realize makes the table what the draft says.
func (t *Table) realize(ctx context.Context) error {
	now, err := t.lake.Ensure(ctx, t.name, t.Columns())
	if err != nil {
		return err
	}
	for _, f := range t.fields {
		if !slices.Contains(now.fields, f) {
			return fault.New(fault.Conflict, "table %q got other columns while it was being written", t.name).
				Hint("nothing was committed; run it again")
		}
	}
	return nil
}

// missing returns the columns that fields lack, and every conflict of types.
func missing(table string, fields []fieldOf, columns []frame.Column) ([]frame.Column, error) {
	var fresh []frame.Column
	var conflicts fault.List
	for _, c := range columns {
		if slices.Contains(fresh, c) {
			continue
		}
		at := slices.IndexFunc(fields, func(f fieldOf) bool { return strings.EqualFold(f.Name, c.Name) })
		switch {
		case at < 0:
			fresh = append(fresh, c)
		case fields[at].Name != c.Name:
			conflicts.Add(fault.New(fault.Conflict, "table %q has a column %q, which differs from %q only by case", table, fields[at].Name, c.Name).
				Hint("write the column's name the same way everywhere"))
		case fields[at].Type != c.Type:
			conflicts.Add(fault.New(fault.Conflict, "column %q is %s in table %q and cannot become %s", c.Name, fields[at].Type, table, c.Type).
				Hint("declare the column as %s in the source's schema, or ingest into a table of another name", fields[at].Type))
		}
	}
	return fresh, conflicts.Err()
}
