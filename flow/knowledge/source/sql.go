package source

import (
	"context"
	"net/url"
	"strings"

	"github.com/leat-ai/leat/base/frame"
)

// Query runs SQL at a database and returns its rows.
type Query func(ctx context.Context, sql string) (frame.Reader, error)

// NewQuery makes documents of the rows of a query at an address such as
// postgres://host/database.
func NewQuery(address, sql string, columns RowColumns, mime string, run Query) Rows {
	sql = strings.TrimRight(strings.TrimSpace(sql), "; \n")
	r := Rows{RowColumns: columns, Base: withoutUser(address), MIME: mime}
	r.Read = func(ctx context.Context, since string) (frame.Reader, string, error) {
		text := sql
		if since != "" && columns.Changed != "" {
			text = "SELECT * FROM (" + sql + ") AS leat_rows WHERE " + identifier(columns.Changed) + " >= " + literal(since)
		}
		rows, err := run(ctx, text)
		return rows, "", err
	}
	if columns.Changed != "" {
		r.IDs = func(ctx context.Context) (frame.Reader, error) {
			return run(ctx, "SELECT "+identifier(columns.ID)+" FROM ("+sql+") AS leat_rows")
		}
	}
	return r
}

// identifier quotes the name of a column.
func identifier(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// literal quotes a value: its type is that of what it is compared with.
func literal(value string) string { return `'` + strings.ReplaceAll(value, `'`, `''`) + `'` }

// withoutUser is an address as documents are named by it.
func withoutUser(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		scheme, _, _ := strings.Cut(address, "://")
		return scheme + "://"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}
