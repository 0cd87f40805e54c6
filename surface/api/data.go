package api

import (
	"context"
	"encoding/json"
	"io"
	"net/http"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/decide/record"
	"github.com/leat-ai/leat/flow/monitor"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/pattern/realtime"
)

// Table is a lake table.
type Table struct {
	Name     string   `json:"name"`
	Columns  []Column `json:"columns"`
	Rows     int64    `json:"rows"`
	Snapshot int64    `json:"snapshot"` // the newest
}

// Result is the answer of a SQL query: rows of values in the order of the
// columns, times as RFC 3339 text.
type Result struct {
	Columns   []Column        `json:"columns"`
	Rows      json.RawMessage `json:"rows"`
	Count     int             `json:"count"`
	Truncated bool            `json:"truncated,omitempty"` // there are more rows than asked for
}

// DecisionDetail is a recorded decision with its columns as JSON objects.
type DecisionDetail struct {
	record.Decision
	Inputs   json.RawMessage `json:"inputs,omitempty"`
	Features json.RawMessage `json:"features,omitempty"`
	Output   json.RawMessage `json:"output,omitempty"`
}

// maxResult bounds the bytes of the rows of one answer.
const maxResult = 64 << 20

func (a *API) data() {
	s := a.services
	type noInput struct{}
	type query struct {
		Body struct {
			SQL   string `json:"sql" minLength:"1" maxLength:"100000"`
			Limit int    `json:"limit,omitempty" minimum:"1" maximum:"100000" default:"1000"`
		}
	}
	type decisions struct {
		Endpoint string `query:"endpoint"`
		Limit    int    `query:"limit" minimum:"1" maximum:"1000" default:"20"`
	}
	type id struct {
		ID string `path:"id"`
	}
	type signals struct {
		Monitor string `query:"monitor"`
		Fired   bool   `query:"fired"`
		Limit   int    `query:"limit" minimum:"1" maximum:"10000" default:"100"`
	}
	register(a, route{http.MethodPost, "/v1/sql", "sql", "Query the lake and the decision log", "data", verbRead}, anything,
		func(ctx context.Context, _ identity.Principal, in *query) (Result, error) {
			r, err := s.Data.Query(ctx, in.Body.SQL)
			if err != nil {
				return Result{}, err
			}
			return collect(ctx, r, in.Body.Limit)
		})
	register(a, route{http.MethodGet, "/v1/tables", "list-tables", "List the tables of the lake", "data", verbRead}, anything,
		func(ctx context.Context, _ identity.Principal, _ *noInput) ([]Table, error) {
			return s.Data.Tables(ctx)
		})
	register(a, route{http.MethodGet, "/v1/decisions", "list-decisions", "The latest decisions", "decisions", verbRead}, anything,
		func(ctx context.Context, _ identity.Principal, in *decisions) ([]DecisionDetail, error) {
			list, err := s.Decisions.Latest(ctx, in.Endpoint, in.Limit)
			details := make([]DecisionDetail, len(list))
			for i, d := range list {
				details[i] = detail(d)
			}
			return details, err
		})
	register(a, route{http.MethodGet, "/v1/decisions/{id}", "get-decision", "Show a decision by its id", "decisions", verbRead}, anything,
		func(ctx context.Context, _ identity.Principal, in *id) (DecisionDetail, error) {
			d, err := s.Decisions.Find(ctx, in.ID)
			return detail(d), err
		})
	register(a, route{http.MethodGet, "/v1/signals", "list-signals", "What monitors measured, newest first", "monitoring", verbRead}, anything,
		func(ctx context.Context, _ identity.Principal, in *signals) ([]monitor.Reading, error) {
			return s.Signals.List(ctx, monitor.Query{Monitor: in.Monitor, Fired: in.Fired, Limit: in.Limit})
		})
}

func detail(d record.Decision) DecisionDetail {
	return DecisionDetail{Decision: d, Inputs: d.Inputs, Features: d.Features, Output: d.Output}
}

// collect reads at most limit rows and closes r.
func collect(ctx context.Context, r frame.Reader, limit int) (Result, error) {
	defer r.Close()
	res := Result{Columns: []Column{}}
	columns, err := frame.ColumnsOf(r.Schema())
	if err != nil {
		return res, err
	}
	for _, c := range columns {
		res.Columns = append(res.Columns, Column{Name: c.Name, Type: string(c.Type)})
	}
	text := []byte{'['}
	for !res.Truncated {
		b, err := r.Next(ctx)
		if err == io.EOF {
			break
		}
		if err != nil {
			return res, err
		}
		text, res.Truncated = appendRows(text, b, &res.Count, limit)
		b.Release()
	}
	res.Rows = append(text, ']')
	return res, nil
}

func appendRows(text []byte, b frame.Batch, count *int, limit int) (_ []byte, full bool) {
	for row := range int(b.NumRows()) {
		if *count == limit || len(text) > maxResult {
			return text, true
		}
		if *count > 0 {
			text = append(text, ',')
		}
		text = append(text, '[')
		for i := range int(b.NumCols()) {
			if i > 0 {
				text = append(text, ',')
			}
			text = realtime.AppendValue(text, b.Column(i), row)
		}
		text = append(text, ']')
		*count++
	}
	return text, false
}
