package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/danielgtaylor/huma/v2"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature"
	"github.com/leat-ai/leat/flow/feature/past"
	"github.com/leat-ai/leat/flow/feature/tables"
	"github.com/leat-ai/leat/flow/ingest"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/surface/server"
)

// History finds what features were.
type History interface {
	// History compiles views for rows whose times are in a column.
	History(ctx context.Context, views []string, time string) (*tables.Training, error)
	// Scratch is a folder for rows on their way.
	Scratch() string
}

// HistoryPlan says what rows must have to be given features of the past, and
// what they are given.
type HistoryPlan struct {
	Inputs  []Column `json:"inputs"`
	Outputs []Column `json:"outputs"`
}

const (
	historyRoute = "/v1/feature-history"
	arrowType    = "application/vnd.apache.arrow.stream"
	// maxHistory bounds the bytes of the rows that are sent.
	maxHistory  = 16 << 30
	historyTime = time.Hour
)

func (a *API) history(s *server.Server) {
	type query struct {
		View []string `query:"view,explode" doc:"feature views, those on demand after what they read"`
		Time string   `query:"time" doc:"column with the times of the rows"`
	}
	register(a, route{http.MethodGet, historyRoute, "plan-feature-history", "Say which columns rows need to be given features as of their times", "features", verbRead}, anything,
		func(ctx context.Context, p identity.Principal, in *query) (HistoryPlan, error) {
			t, err := a.asked(ctx, p, in.View, in.Time)
			if err != nil {
				return HistoryPlan{}, err
			}
			return HistoryPlan{Inputs: featureColumns(t.Inputs()), Outputs: featureColumns(t.Outputs())}, nil
		})
	s.HandleLarge("POST "+historyRoute, maxHistory, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun, err := a.findHistory(w, r)
		switch {
		case err == nil:
		case begun: // the rows are incomplete, and the reader must not take them for all
			panic(http.ErrAbortHandler)
		default:
			server.WriteProblem(w, err)
		}
	}))
	text := &huma.Schema{Type: "string"}
	stream := map[string]*huma.MediaType{arrowType: {Schema: &huma.Schema{Type: "string", Format: "binary"}}}
	a.huma.OpenAPI().AddOperation(&huma.Operation{
		Method: http.MethodPost, Path: historyRoute, OperationID: "find-feature-history", Tags: []string{"features"}, Security: needs(verbRead),
		Summary:     "Give rows the features that their entities had at their times",
		Description: "Rows come as a CSV or Parquet file, packed or not, and go as an Arrow stream; the features stand behind the columns that came.",
		Parameters: []*huma.Param{
			{Name: "view", In: "query", Schema: &huma.Schema{Type: "array", Items: text}, Description: "feature views"},
			{Name: "time", In: "query", Schema: text, Description: "column with the times of the rows"},
			{Name: "format", In: "query", Schema: text, Description: "csv or parquet; found out when absent"},
		},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{fileType: stream[arrowType]}},
		Responses:   map[string]*huma.Response{"200": {Description: "the rows with their features", Content: stream}},
	})
}

// asked compiles the views that somebody may read.
func (a *API) asked(ctx context.Context, p identity.Principal, views []string, time string) (*tables.Training, error) {
	if len(views) == 0 || time == "" {
		return nil, fault.New(fault.Invalid, "the views or the column of the times are not named").Hint("add ?view=NAME&time=COLUMN")
	}
	for _, v := range views {
		if !p.May(verbRead, v) {
			return nil, fault.New(fault.Forbidden, "%s may not read the feature view %q", p.Name, v)
		}
	}
	return a.services.History.History(ctx, views, time)
}

// findHistory keeps the rows in a file, finds what there was, and writes both
// side by side. begun tells that the answer was begun.
func (a *API) findHistory(w http.ResponseWriter, r *http.Request) (begun bool, err error) {
	ctx := r.Context()
	p, err := allowed(ctx, verbRead, "*")
	if err != nil {
		return false, err
	}
	control := http.NewResponseController(w) // in the tests of handlers there are no deadlines
	_ = control.SetReadDeadline(time.Now().Add(historyTime))
	_ = control.SetWriteDeadline(time.Now().Add(historyTime))
	q := r.URL.Query()
	t, err := a.asked(ctx, p, q["view"], q.Get("time"))
	if err != nil {
		return false, err
	}
	file, err := os.CreateTemp(a.services.History.Scratch(), "rows-*")
	if err != nil {
		return false, fault.Wrap(err, fault.Unavailable, "the rows cannot be kept")
	}
	defer func() { _ = errors.Join(file.Close(), os.Remove(file.Name())) }() // it is scratch
	if _, err := io.Copy(file, r.Body); err != nil {
		return false, fault.Wrap(err, fault.Invalid, "the rows broke off")
	}
	rows, err := readSent(ctx, file.Name(), q.Get("format"), t.Inputs())
	if err != nil {
		return false, err
	}
	joined, err := t.Find(ctx, rows, time.Time{}, nil)
	if err != nil {
		return false, err
	}
	defer func() { _ = joined.Close() }()
	if rows, err = readSent(ctx, file.Name(), q.Get("format"), t.Inputs()); err != nil {
		return false, err
	}
	return writeHistory(ctx, w, rows, t.Set, joined)
}

func writeHistory(ctx context.Context, w http.ResponseWriter, rows frame.Reader, set *feature.Set, joined *past.Joined) (begun bool, err error) {
	fields := slices.Clone(rows.Schema().Fields())
	for _, f := range set.Schema().Fields() {
		if frame.Index(rows.Schema(), f.Name) >= 0 {
			return false, fault.New(fault.Invalid, "the rows have a column %q, and so have the features", f.Name).Hint("rename or leave out the column of the rows")
		}
		fields = append(fields, f)
	}
	schema := arrow.NewSchema(fields, nil)
	var out *ipc.Writer
	err = frame.Each(ctx, rows, func(b frame.Batch) error {
		found, err := joined.Next(ctx, int(b.NumRows()))
		if err != nil {
			return err
		}
		defer past.Release(found)
		features, err := set.ComputeAs(ctx, b, feature.Asked{Found: found})
		if err != nil {
			return err
		}
		defer features.Release()
		if out == nil {
			w.Header().Set("Content-Type", arrowType)
			out = ipc.NewWriter(w, ipc.WithSchema(schema))
		}
		both := array.NewRecordBatch(schema, append(slices.Clone(b.Columns()), features.Columns()...), b.NumRows())
		defer both.Release()
		return fault.Wrap(out.Write(both), fault.Canceled, "the answer cannot be sent")
	})
	if err != nil {
		return out != nil, err
	}
	if out == nil {
		w.Header().Set("Content-Type", arrowType)
		out = ipc.NewWriter(w, ipc.WithSchema(schema))
	}
	return true, fault.Wrap(out.Close(), fault.Canceled, "the answer cannot be sent")
}

// sentRows are the rows of a file that somebody sent, which is read like one
// of ingest: as CSV or Parquet, packed or not. What the views need has the type
// that they need, everything else is text.
type sentRows struct {
	schema  *arrow.Schema
	batches chan frame.Batch
	done    chan error
	cancel  context.CancelFunc
	file    *ingest.Rows
}

func readSent(ctx context.Context, path, format string, needed []frame.Column) (*sentRows, error) {
	file, err := ingest.OpenRows(ctx, path, ingest.RowsOptions{Format: format})
	if err != nil {
		return nil, err
	}
	picks, err := picksOf(file.Names(), needed)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	columns := make([]frame.Column, len(picks))
	for i, p := range picks {
		columns[i] = p.Column
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &sentRows{schema: frame.SchemaOf(columns), batches: make(chan frame.Batch), done: make(chan error, 1), cancel: cancel, file: file}
	go func() {
		_, err := ingest.EachRows(ctx, file, picks,
			func(b frame.Batch) (frame.Batch, error) { b.Retain(); return b, nil },
			func(b frame.Batch) error {
				select {
				case r.batches <- b:
					return nil
				case <-ctx.Done():
					b.Release()
					return ctx.Err()
				}
			})
		close(r.batches)
		r.done <- err
	}()
	return r, nil
}

// picksOf finds the columns that are needed, each with its mistake.
func picksOf(names []string, needed []frame.Column) ([]ingest.Pick, error) {
	var mistakes fault.List
	picks := make([]ingest.Pick, len(names))
	for i, name := range names {
		picks[i] = ingest.Pick{Column: frame.Column{Name: name, Type: frame.String}, At: i}
	}
	for _, c := range needed {
		at := slices.Index(names, c.Name)
		if at >= 0 {
			picks[at].Type = c.Type
			continue
		}
		err := fault.New(fault.Invalid, "the rows have no column %q, a %s", c.Name, c.Type)
		if near := fault.Nearest(c.Name, names); near != "" {
			mistakes.Add(err.Hint("did you mean %s?", near))
			continue
		}
		mistakes.Add(err.Hint("the features are looked up by it"))
	}
	return picks, mistakes.Err()
}

func (r *sentRows) Schema() *arrow.Schema { return r.schema }

func (r *sentRows) Next(ctx context.Context) (frame.Batch, error) {
	select {
	case b, more := <-r.batches:
		if more {
			return b, nil
		}
		err := <-r.done
		r.done <- err // for whoever asks again
		if err == nil {
			err = io.EOF
		}
		return nil, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Close ends the reading. It is safe to call twice.
func (r *sentRows) Close() error {
	r.cancel()
	for b := range r.batches {
		b.Release()
	}
	return r.file.Close()
}
