// Package postgres puts what streams decided into a table of PostgreSQL.
//
// It is a target of rows rather than a bus of bytes: Open makes a Sink of one
// table, and Upsert writes a batch under the IDs of its events, in one
// statement and so in one transaction. A row whose event the table has is
// replaced; a batch that comes again leaves the table as it was. Columns are
// matched by name; a table that is not there is made, with the IDs in the
// column event_id as its primary key.
package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/store/bus"
)

// IDColumn has the IDs of events, unless the configuration names another.
const IDColumn = "event_id"

// Config says where the table is.
type Config struct {
	// URL is postgres://user@host/database?sslmode=…, without a password.
	URL string
	// Secret returns the password, or a whole URL, whenever a connection is
	// made; nil: there is none.
	Secret func(ctx context.Context) (string, error)
	// Dial connects, where not every address may be dialled; nil: the system.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// TLS is how the server is checked where the URL asks for it by
	// sslmode=verify-full; nil: as the URL says.
	TLS *tls.Config
	// Table is its name, which may have a schema: SCHEMA.TABLE.
	Table string
	// ID is the column of the events' IDs; IDColumn when empty. It must be the
	// primary key of a table that is there already, or unique.
	ID string
	// Timeout bounds one batch; 30 s when 0.
	Timeout time.Duration
}

// Validate reports every mistake of the configuration, without a password.
func (c Config) Validate() error {
	var l fault.List
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || u.Host == "":
		l.Add(fault.New(fault.Invalid, "the address of the database is no URL of PostgreSQL").Hint("write postgres://HOST/DATABASE/TABLE"))
	case hasPassword(u):
		l.Add(fault.New(fault.Invalid, "the address of the database holds a password").Hint("name it by a reference: secret: env:NAME"))
	}
	for part := range strings.SplitSeq(c.Table, ".") {
		if part == "" || len(part) > 63 || strings.ContainsRune(part, 0) {
			l.Add(fault.New(fault.Invalid, "%.100q cannot be the name of a table", c.Table))
			break
		}
	}
	if strings.Count(c.Table, ".") > 1 {
		l.Add(fault.New(fault.Invalid, "%.100q is more than a schema and a table", c.Table))
	}
	return l.Err()
}

func hasPassword(u *url.URL) bool {
	_, has := u.User.Password()
	return has
}

// Split takes the table off an address: postgres://host/database/table.
func Split(address string) (url, table string, err error) {
	plain, query, _ := strings.Cut(address, "?")
	at := strings.LastIndexByte(plain, '/')
	if at < 0 || strings.Count(plain, "/") != 4 || at == len(plain)-1 {
		return "", "", fault.New(fault.Invalid, "the address names no table of a database").Hint("write postgres://HOST/DATABASE/TABLE")
	}
	url = plain[:at]
	if query != "" {
		url += "?" + query
	}
	return url, plain[at+1:], nil
}

// Sink is a table. It is safe for many goroutines.
type Sink struct {
	config Config
	pool   *pgxpool.Pool

	mu    sync.Mutex
	ready []frame.Column // that the table is known to have
}

// Open returns a sink. It connects with the first batch.
func Open(ctx context.Context, c Config) (*Sink, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.ID == "" {
		c.ID = IDColumn
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	p, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the address of the database is not understood").Hint("write postgres://HOST/DATABASE/TABLE?sslmode=verify-full")
	}
	p.MaxConns, p.MinConns, p.MaxConnIdleTime = 4, 0, time.Minute
	p.ConnConfig.ConnectTimeout = 10 * time.Second
	p.ConnConfig.RuntimeParams["application_name"], p.ConnConfig.RuntimeParams["TimeZone"] = "leat stream", "UTC"
	if c.Dial != nil {
		p.ConnConfig.DialFunc = c.Dial
		p.ConnConfig.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil } // the dialer resolves, and checks
	}
	if c.TLS != nil && p.ConnConfig.TLSConfig != nil {
		t := c.TLS.Clone()
		t.ServerName = p.ConnConfig.Host
		p.ConnConfig.TLSConfig = t
	}
	p.BeforeConnect = func(ctx context.Context, cc *pgx.ConnConfig) error { return c.login(ctx, cc) }
	pool, err := pgxpool.NewWithConfig(ctx, p)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the address of the database is not understood")
	}
	return &Sink{config: c, pool: pool}, nil
}

func (c Config) login(ctx context.Context, cc *pgx.ConnConfig) error {
	if c.Secret == nil {
		return nil
	}
	secret, err := c.Secret(ctx)
	if err != nil {
		return err
	}
	if !strings.Contains(secret, "://") {
		cc.Password = secret
		return nil
	}
	other, err := pgx.ParseConfig(secret)
	if err != nil {
		return fault.New(fault.Invalid, "the secret of the database is a URL that is not understood")
	}
	cc.User, cc.Password = other.User, other.Password // where the database is says the resource
	return nil
}

// Close ends the connections. It is safe to call twice.
func (s *Sink) Close() error {
	s.pool.Close()
	return nil
}

// Upsert writes rows under the IDs of their events, all or none; of two rows
// of one ID the later stays. A row that the table cannot take is a
// *bus.Refused with its index.
func (s *Sink) Upsert(ctx context.Context, ids []string, rows frame.Batch) error {
	if int64(len(ids)) != rows.NumRows() {
		return fault.New(fault.Internal, "%d rows have %d IDs", rows.NumRows(), len(ids))
	}
	if len(ids) == 0 {
		return ctx.Err()
	}
	columns, err := frame.ColumnsOf(rows.Schema())
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(columns, func(c frame.Column) bool { return c.Name == s.config.ID }); i >= 0 {
		return fault.New(fault.Invalid, "the rows have a column %q, which is that of the events' IDs", s.config.ID).Hint("name another by the option id")
	}
	values, err := valuesOf(ids, columns, rows)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	if err := s.prepare(ctx, columns); err != nil {
		return err
	}
	keep := last(ids)
	err = s.write(ctx, columns, values.pick(keep), true)
	if code := codeOf(err); strings.HasPrefix(code, "22") || strings.HasPrefix(code, "23") {
		return s.culprit(ctx, columns, values, keep, err)
	}
	return serverFault(ctx, err, "the rows cannot be written to the table "+s.config.Table)
}

// last are the places of the last row of each ID, in order.
func last(ids []string) []int {
	at := map[string]int{}
	for i, id := range ids {
		at[id] = i
	}
	var keep []int
	for i, id := range ids {
		if at[id] == i {
			keep = append(keep, i)
		}
	}
	return keep
}

// culprit finds the first row that the table does not take, by halves, without
// writing anything.
func (s *Sink) culprit(ctx context.Context, columns []frame.Column, v values, rows []int, cause error) error {
	for len(rows) > 1 {
		half := rows[:len(rows)/2]
		err := s.write(ctx, columns, v.pick(half), false)
		switch code := codeOf(err); {
		case err == nil:
			rows = rows[len(rows)/2:]
		case strings.HasPrefix(code, "22") || strings.HasPrefix(code, "23"):
			rows, cause = half, err
		default:
			return serverFault(ctx, err, "the rows cannot be written to the table "+s.config.Table)
		}
	}
	what := "a rule of the table"
	if e, ok := errors.AsType[*pgconn.PgError](cause); ok {
		what = e.Message // says what rule it is; the row's content is in its Detail
	}
	return &bus.Refused{Index: rows[0], Err: fault.New(fault.Invalid, "the table %s does not take the row: %s", s.config.Table, what)}
}

// write runs the statement for some rows.
func (s *Sink) write(ctx context.Context, columns []frame.Column, args []any, commit bool) error {
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // after a commit there is nothing to take back
	if _, err := tx.Exec(ctx, s.statement(columns), args...); err != nil || !commit {
		return err
	}
	return tx.Commit(ctx)
}

func (s *Sink) statement(columns []frame.Column) string {
	names, types, sets := []string{quoted(s.config.ID)}, []string{"$1::text[]"}, []string{}
	for i, c := range columns {
		names = append(names, quoted(c.Name))
		types = append(types, fmt.Sprintf("$%d::%s[]", i+2, typeOf(c.Type)))
		sets = append(sets, quoted(c.Name)+" = EXCLUDED."+quoted(c.Name))
	}
	do := "NOTHING"
	if len(sets) > 0 {
		do = "UPDATE SET " + strings.Join(sets, ", ")
	}
	return fmt.Sprintf("INSERT INTO %s (%s) SELECT * FROM unnest(%s) ON CONFLICT (%s) DO %s",
		s.table(), strings.Join(names, ", "), strings.Join(types, ", "), quoted(s.config.ID), do)
}

// prepare makes the table when it is not there.
func (s *Sink) prepare(ctx context.Context, columns []frame.Column) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Equal(s.ready, columns) {
		return nil
	}
	var have bool
	if err := s.pool.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", s.table()).Scan(&have); err != nil {
		return serverFault(ctx, err, "the database cannot be reached")
	}
	if !have { // who may not make tables can write one that is there
		parts := []string{quoted(s.config.ID) + " text PRIMARY KEY"}
		for _, c := range columns {
			parts = append(parts, quoted(c.Name)+" "+typeOf(c.Type))
		}
		_, err := s.pool.Exec(ctx, fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s (%s)", s.table(), strings.Join(parts, ", ")))
		if err != nil && codeOf(err) != "23505" && codeOf(err) != "42P07" { // somebody made it at the same moment
			return serverFault(ctx, err, "the table "+s.config.Table+" cannot be made")
		}
	}
	s.ready = columns
	return nil
}

func (s *Sink) table() string {
	var parts []string
	for part := range strings.SplitSeq(s.config.Table, ".") {
		parts = append(parts, quoted(part))
	}
	return strings.Join(parts, ".")
}

func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func codeOf(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// serverFault says what an error of the server or of the way to it means. Codes
// are those of the manual's appendix "PostgreSQL Error Codes".
func serverFault(ctx context.Context, err error, what string) error {
	code := codeOf(err)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fault.Wrap(ctx.Err(), fault.KindOf(ctx.Err()), "%s", what)
	case code == "":
		return fault.New(fault.Unavailable, "%s", what).Because(errors.Unwrap(err)) // the outermost names host, user and database
	case code == "53100":
		return fault.New(fault.Full, "%s: no space is left on its server", what)
	case code == "42703":
		return fault.New(fault.Invalid, "%s: it lacks a column of the rows", what).Because(err).Hint("add the column, or leave it out by a map")
	case code == "42P10":
		return fault.New(fault.Invalid, "%s: the column of the IDs is not unique there", what).Hint("make it the primary key")
	case strings.HasPrefix(code, "42"), strings.HasPrefix(code, "28"), code == "3D000", code == "3F000":
		return fault.New(fault.Invalid, "%s", what).Because(err).Hint("look at the table, the user and its rights")
	}
	return fault.New(fault.Unavailable, "%s", what).Because(err)
}
