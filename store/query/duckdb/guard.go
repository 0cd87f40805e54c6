//go:build duckdb_arrow

package duckdb

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"slices"
	"sort"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/query"
)

// errBadConn makes the pool drop a connection.
var errBadConn = driver.ErrBadConn

// maxStatement bounds the text of a statement, in bytes.
const maxStatement = 1 << 20

// tableFunctions are those that a statement may read from: they compute and
// open nothing.
func tableFunction(name string) bool {
	switch strings.ToLower(name) {
	case "range", "generate_series", "unnest", "repeat", "repeat_row", "json_each", "json_tree", "generate_subscripts":
		return true
	}
	return false
}

// checked is a statement that may run: a single query, printed anew from its
// parse tree, so that nothing hides in comments or behind a semicolon.
type checked struct {
	sql    string
	tables []string // relations that it names, as keys of the statement's
}

// check parses a statement with DuckDB's own parser and looks at every table
// that it reads.
func (r *run) check(ctx context.Context, s query.Statement) (checked, error) {
	if strings.TrimSpace(s.SQL) == "" {
		return checked{}, fault.New(fault.Invalid, "the query is empty")
	}
	if len(s.SQL) > maxStatement {
		return checked{}, fault.New(fault.TooLarge, "the query has %d bytes, more than %d", len(s.SQL), maxStatement)
	}
	var tree string
	err := r.conn.QueryRowContext(ctx, "SELECT CAST(json_serialize_sql(CAST(? AS VARCHAR)) AS VARCHAR)", s.SQL).Scan(&tree)
	if err != nil {
		return checked{}, engineFault(ctx, err)
	}
	var parsed struct {
		Error      bool              `json:"error"`
		Type       string            `json:"error_type"`
		Message    string            `json:"error_message"`
		Statements []json.RawMessage `json:"statements"`
	}
	if err := json.Unmarshal([]byte(tree), &parsed); err != nil {
		return checked{}, fault.Wrap(err, fault.Invalid, "the query is nested too deeply")
	}
	switch {
	case parsed.Error && parsed.Type == "not implemented":
		return checked{}, fault.New(fault.Forbidden, "only queries are answered: SELECT, FROM, WITH, VALUES, DESCRIBE, SUMMARIZE")
	case parsed.Error:
		return checked{}, fault.New(fault.Invalid, "%s", parsed.Message)
	case len(parsed.Statements) != 1:
		return checked{}, fault.New(fault.Invalid, "there are %d statements; one is answered at a time", len(parsed.Statements))
	}
	if err := checkArgs(parsed.Statements[0], len(s.Args)); err != nil {
		return checked{}, err
	}
	tables, err := tablesOf(parsed.Statements[0], s.Relations)
	if err != nil {
		return checked{}, err
	}
	out := checked{tables: tables}
	err = r.conn.QueryRowContext(ctx, "SELECT json_deserialize_sql(CAST(? AS JSON))", tree).Scan(&out.sql)
	return out, engineFault(ctx, err)
}

func checkArgs(statement json.RawMessage, have int) error {
	var s struct {
		Params []json.RawMessage `json:"named_param_map"`
	}
	if err := json.Unmarshal(statement, &s); err != nil {
		return fault.Wrap(err, fault.Invalid, "the query is nested too deeply")
	}
	if len(s.Params) != have {
		return fault.New(fault.Invalid, "the query has %d placeholders and %d values for them", len(s.Params), have)
	}
	return nil
}

// sources are what a parse tree reads from.
type sources struct {
	tables    []string // as written, with their schema
	defined   map[string]bool
	functions []string
}

func tablesOf(tree json.RawMessage, relations map[string]query.Relation) ([]string, error) {
	var root any
	if err := json.Unmarshal(tree, &root); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the query is nested too deeply")
	}
	found := sources{defined: map[string]bool{}}
	found.walk(root)
	for _, f := range found.functions {
		if !tableFunction(f) {
			return nil, fault.New(fault.Forbidden, "a query may not read from %s(…)", f).
				Hint("it may read tables, by their names")
		}
	}
	for d := range found.defined {
		// A name of WITH counts as known everywhere in the statement, so it
		// must not be one that DuckDB would open where it is out of sight.
		if strings.ContainsAny(d, "./:*") {
			return nil, fault.New(fault.Forbidden, "WITH may not define %q", d)
		}
	}
	var used []string
	for _, t := range found.tables {
		key, ok := relationKey(relations, t)
		switch {
		case ok && !slices.Contains(used, key):
			used = append(used, key)
		case !ok && !found.defined[strings.ToLower(t)]:
			return nil, unknownTable(t, relations)
		}
	}
	return used, nil
}

func relationKey(relations map[string]query.Relation, written string) (string, bool) {
	if _, ok := relations[written]; ok {
		return written, true
	}
	for k := range relations {
		if strings.EqualFold(k, written) {
			return k, true
		}
	}
	return "", false
}

func unknownTable(t string, relations map[string]query.Relation) error {
	err := fault.New(fault.Invalid, "there is no table %q", t)
	known := make([]string, 0, len(relations))
	for k := range relations {
		known = append(known, k)
	}
	sort.Strings(known)
	if len(known) == 0 {
		return err
	}
	return err.Hint("there are %s", strings.Join(known[:min(len(known), 12)], ", "))
}

// walk visits every node of a parse tree.
func (s *sources) walk(node any) {
	switch n := node.(type) {
	case []any:
		for _, c := range n {
			s.walk(c)
		}
	case map[string]any:
		s.node(n)
		for _, c := range n {
			s.walk(c)
		}
	}
}

func (s *sources) node(n map[string]any) {
	switch n["type"] {
	case "BASE_TABLE":
		s.tables = append(s.tables, qualified(n))
	case "SHOW_REF":
		if t := qualified(n); t != "" && n["query"] == nil {
			s.tables = append(s.tables, strings.Trim(t, `"`))
		}
	case "TABLE_FUNCTION":
		f, _ := n["function"].(map[string]any)
		called, _ := f["function_name"].(string)
		s.functions = append(s.functions, called)
	}
	if ctes, ok := n["cte_map"].(map[string]any); ok {
		entries, _ := ctes["map"].([]any)
		for _, e := range entries {
			if entry, ok := e.(map[string]any); ok {
				key, _ := entry["key"].(string)
				s.defined[strings.ToLower(key)] = true
			}
		}
	}
	if cte, ok := n["cte_name"].(string); ok {
		s.defined[strings.ToLower(cte)] = true
	}
}

func qualified(n map[string]any) string {
	var parts []string
	for _, key := range []string{"catalog_name", "schema_name", "table_name"} {
		if part, _ := n[key].(string); part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ".")
}
