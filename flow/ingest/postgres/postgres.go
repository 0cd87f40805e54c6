// Package postgres reads the rows of a PostgreSQL query for ingest.
//
// It is the ingest.Database of the scheme postgres. Rows are fetched through a
// cursor, a few thousand at a time, inside a read-only transaction that sees
// one state of the database; memory does not grow with the answer.
package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/ingest"
)

// fetchRows is how many rows are fetched at a time.
const fetchRows = 8192

// Source is the ingest.Database of PostgreSQL.
type Source struct {
	// ConnectTimeout bounds how long a connection may take. Default 10 s.
	ConnectTimeout time.Duration
}

var _ ingest.Database = Source{}

// Query begins a query at an address such as postgres://user@host/database.
// The secret is the password; where it is a whole address it replaces the
// address. Integers become int, floats and numerics double, json and arrays
// text. The caller closes the reader.
func (s Source) Query(ctx context.Context, address, secret, query string) (frame.Reader, error) {
	conn, err := s.connect(ctx, address, secret)
	if err != nil {
		return nil, err
	}
	r := &reader{conn: conn}
	if err := r.begin(ctx, query); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (s Source) connect(ctx context.Context, address, secret string) (*pgx.Conn, error) {
	if strings.Contains(secret, "://") {
		address, secret = secret, ""
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the address of the database is no URL") // its text may hold a password
	}
	if secret != "" {
		u.User = url.UserPassword(u.User.Username(), secret)
	}
	config, err := pgx.ParseConfig(u.String())
	if err != nil {
		return nil, fault.New(fault.Invalid, "the address of the database at %q cannot be read", u.Host).
			Hint("write postgres://user@host:port/database?sslmode=verify-full")
	}
	config.ConnectTimeout = s.ConnectTimeout
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 10 * time.Second
	}
	config.RuntimeParams["TimeZone"] = "UTC"
	config.RuntimeParams["application_name"] = "leat ingest"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, serverFault(ctx, err, "the database at "+u.Host+" cannot be reached")
	}
	return conn, nil
}

// reader is an open cursor.
type reader struct {
	conn   *pgx.Conn
	schema *arrow.Schema
	fields []pgconn.FieldDescription
	first  pgx.Rows // the rows of the first fetch, whose header gave the schema
	ended  bool
}

func (r *reader) begin(ctx context.Context, query string) error {
	for _, statement := range []string{
		"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
		"DECLARE leat NO SCROLL CURSOR FOR " + strings.TrimRight(strings.TrimSpace(query), ";"),
	} {
		if _, err := r.conn.Exec(ctx, statement); err != nil {
			return serverFault(ctx, err, "the query is refused")
		}
	}
	rows, err := r.fetch(ctx)
	if err != nil {
		return err
	}
	r.first, r.fields = rows, rows.FieldDescriptions()
	columns := make([]frame.Column, len(r.fields))
	for i, f := range r.fields {
		columns[i] = frame.Column{Name: f.Name, Type: typeOf(f.DataTypeOID)}
	}
	if len(columns) == 0 {
		rows.Close()
		return serverFault(ctx, rows.Err(), "the query is refused")
	}
	r.schema = frame.SchemaOf(columns)
	return nil
}

func (r *reader) fetch(ctx context.Context) (pgx.Rows, error) {
	rows, err := r.conn.Query(ctx, fmt.Sprintf("FETCH FORWARD %d FROM leat", fetchRows))
	if err != nil {
		return nil, serverFault(ctx, err, "the query failed")
	}
	return rows, nil
}

func typeOf(oid uint32) frame.Type {
	switch oid {
	case pgtype.BoolOID:
		return frame.Bool
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.OIDOID:
		return frame.Int
	case pgtype.Float4OID, pgtype.Float8OID, pgtype.NumericOID:
		return frame.Double
	case pgtype.DateOID:
		return frame.Date
	case pgtype.TimestampOID, pgtype.TimestamptzOID:
		return frame.Timestamp
	}
	return frame.String
}

// Schema returns the columns of the answer.
func (r *reader) Schema() *arrow.Schema { return r.schema }

// Next fetches the next rows.
func (r *reader) Next(ctx context.Context) (frame.Batch, error) {
	if r.ended {
		return nil, io.EOF
	}
	rows := r.first
	r.first = nil
	if rows == nil {
		var err error
		if rows, err = r.fetch(ctx); err != nil {
			return nil, err
		}
	}
	defer rows.Close()
	b := array.NewRecordBuilder(memory.DefaultAllocator, r.schema)
	defer b.Release()
	n := 0
	for ; rows.Next(); n++ {
		if err := r.row(b, rows); err != nil {
			return nil, err
		}
	}
	if err := rows.Err(); err != nil {
		return nil, serverFault(ctx, err, "the query failed")
	}
	if n < fetchRows {
		r.ended = true
	}
	if n == 0 {
		return nil, io.EOF
	}
	return b.NewRecordBatch(), nil
}

func (r *reader) row(b *array.RecordBuilder, rows pgx.Rows) error {
	raw := rows.RawValues()
	for i, f := range r.fields {
		if raw[i] == nil {
			b.Field(i).AppendNull()
			continue
		}
		if err := r.cell(b.Field(i), f, raw[i]); err != nil {
			return fault.New(fault.Unsupported, "column %q", f.Name).Because(err).
				Hint("cast the column to text in the query")
		}
	}
	return nil
}

func (r *reader) cell(b array.Builder, f pgconn.FieldDescription, raw []byte) error {
	types := r.conn.TypeMap()
	switch b := b.(type) {
	case *array.BooleanBuilder:
		var v bool
		err := types.Scan(f.DataTypeOID, f.Format, raw, &v)
		b.Append(v)
		return err
	case *array.Int64Builder:
		var v int64
		err := types.Scan(f.DataTypeOID, f.Format, raw, &v)
		b.Append(v)
		return err
	case *array.Float64Builder:
		var v float64
		err := types.Scan(f.DataTypeOID, f.Format, raw, &v)
		b.Append(v)
		return err
	case *array.Date32Builder:
		return timeCell(types, f, raw, b, func(t time.Time) { b.Append(arrow.Date32FromTime(t)) })
	case *array.TimestampBuilder:
		return timeCell(types, f, raw, b, func(t time.Time) { b.Append(arrow.Timestamp(t.UnixMicro())) })
	case *array.StringBuilder:
		text, err := textOf(types, f, raw)
		b.Append(text)
		return err
	}
	return fault.New(fault.Internal, "there is no builder for it")
}

// timeCell reads a date or time. PostgreSQL's infinity has no place in a
// timestamp, and becomes NULL.
func timeCell(types *pgtype.Map, f pgconn.FieldDescription, raw []byte, b array.Builder, add func(time.Time)) error {
	var v any
	switch f.DataTypeOID {
	case pgtype.DateOID:
		v = new(pgtype.Date)
	case pgtype.TimestampOID:
		v = new(pgtype.Timestamp)
	default:
		v = new(pgtype.Timestamptz)
	}
	if err := types.Scan(f.DataTypeOID, f.Format, raw, v); err != nil {
		return err
	}
	at, finite := time.Time{}, pgtype.Finite
	switch v := v.(type) {
	case *pgtype.Date:
		at, finite = v.Time, v.InfinityModifier
	case *pgtype.Timestamp:
		at, finite = v.Time, v.InfinityModifier
	case *pgtype.Timestamptz:
		at, finite = v.Time, v.InfinityModifier
	}
	if finite != pgtype.Finite {
		b.AppendNull()
		return nil
	}
	add(at)
	return nil
}

// textOf reads anything else as text: text as it is, what the driver knows as
// JSON, and what it does not know as the server writes it.
func textOf(types *pgtype.Map, f pgconn.FieldDescription, raw []byte) (string, error) {
	if f.Format == pgtype.TextFormatCode {
		return string(raw), nil
	}
	switch f.DataTypeOID {
	case pgtype.TextOID, pgtype.VarcharOID, pgtype.BPCharOID, pgtype.NameOID, pgtype.JSONOID, pgtype.UnknownOID:
		return string(raw), nil
	}
	var s string
	if err := types.Scan(f.DataTypeOID, f.Format, raw, &s); err == nil {
		return s, nil
	}
	known, ok := types.TypeForOID(f.DataTypeOID)
	if !ok {
		return "", fault.New(fault.Unsupported, "the type %d of the database is not known", f.DataTypeOID)
	}
	v, err := known.Codec.DecodeValue(types, f.DataTypeOID, f.Format, raw)
	if err != nil {
		return "", err
	}
	out, err := json.Marshal(v)
	return string(out), err
}

// Close ends the transaction and the connection.
func (r *reader) Close() error {
	r.ended = true
	if r.conn == nil {
		return nil
	}
	if r.first != nil {
		r.first.Close()
		r.first = nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = r.conn.Close(ctx) // nothing was written, so nothing can be lost
	r.conn = nil
	return nil
}

// serverFault gives an error of the server a kind. Its message names no
// secret: the driver's own about connecting are left out.
func serverFault(ctx context.Context, err error, what string) error {
	if err == nil {
		return nil
	}
	if cerr := ctx.Err(); cerr != nil {
		return fault.Wrap(cerr, fault.KindOf(cerr), "%s", what)
	}
	said, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return fault.New(fault.Unavailable, "%s", what).Hint("is the server up, and the address right?")
	}
	out := fault.New(kindOf(said.Code), "%s: %s", what, said.Message)
	if said.Hint != "" {
		out = out.Hint("%s", said.Hint)
	}
	return out
}

// kindOf reads the class of an SQLSTATE.
func kindOf(code string) fault.Kind {
	switch {
	case code == "42501":
		return fault.Forbidden
	case strings.HasPrefix(code, "28"):
		return fault.Unauthenticated
	case strings.HasPrefix(code, "3D"):
		return fault.NotFound
	case code == "57014":
		return fault.Timeout
	case strings.HasPrefix(code, "08"), strings.HasPrefix(code, "53"), strings.HasPrefix(code, "57"):
		return fault.Unavailable
	}
	return fault.Invalid
}
