package trigger

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/leat-ai/leat/base/expr"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/ingest"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/catalog"
)

// Ingested tells that a source was ingested by a run: once for each snapshot
// that its table had not before, and once more where its columns are others
// than the last time. It is called after the ingest, may be called again for
// the same run, and says nothing of a run that found nothing new.
func (t *Triggers) Ingested(ctx context.Context, source, run, by string, r ingest.Result) error {
	if r.Snapshot == 0 {
		return nil
	}
	err := t.DB.Write(ctx, func(tx catalog.Tx) error {
		id := fmt.Sprintf("%s/%s/%d", spec.EventSourceIngested, source, r.Snapshot)
		err := t.Publish(ctx, tx, Event{ID: id, Type: spec.EventSourceIngested, Subject: source, By: by, Fields: map[string]expr.Value{
			"source": expr.String(source), "run": expr.String(run), "rows": expr.Int(r.Rows), "quarantined": expr.Int(r.Quarantined),
			"snapshot": expr.Int(r.Snapshot)}})
		if err != nil {
			return err
		}
		return t.columns(ctx, tx, source, run, by, r)
	})
	if err == nil {
		t.Wake()
	}
	return err
}

// columns keeps the columns that a source was ever seen with, and tells of new
// ones and of those that have another type now.
func (t *Triggers) columns(ctx context.Context, tx catalog.Tx, source, run, by string, r ingest.Result) error {
	known := map[string]frame.Type{}
	var text string
	err := tx.Row(ctx, `SELECT columns FROM source_columns WHERE source = ?`, []any{source}, &text)
	first := fault.Is(err, fault.NotFound)
	if err != nil && !first {
		return err
	}
	if !first {
		if err := json.Unmarshal([]byte(text), &known); err != nil {
			return fault.Wrap(err, fault.Corrupt, "the columns of source %q cannot be read", source)
		}
	}
	var added, changed []string
	for _, c := range r.Columns {
		switch was, ok := known[c.Name]; {
		case !ok:
			added = append(added, c.Name)
		case was != c.Type:
			changed = append(changed, c.Name)
		}
		known[c.Name] = c.Type
	}
	if len(added)+len(changed) == 0 {
		return nil
	}
	now, err := json.Marshal(known)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "the columns of source %q", source)
	}
	_, err = tx.Exec(ctx, `INSERT INTO source_columns (source, columns) VALUES (?, ?)
		ON CONFLICT (source) DO UPDATE SET columns = excluded.columns`, source, string(now))
	if err != nil || first {
		return err
	}
	return t.Publish(ctx, tx, Event{ID: fmt.Sprintf("%s/%s/%d", spec.EventSchemaChanged, source, r.Snapshot), Type: spec.EventSchemaChanged,
		Subject: source, By: by, Fields: map[string]expr.Value{"source": expr.String(source), "run": expr.String(run),
			"added": expr.String(strings.Join(added, ", ")), "changed": expr.String(strings.Join(changed, ", "))}})
}
