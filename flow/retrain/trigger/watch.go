package trigger

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/leat-ai/leat/base/expr"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/ingest"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/catalog"
)

// maxWatched bounds the files of one source that is watched.
const maxWatched = 200_000

// Lister lists the files of a source without reading them.
type Lister interface {
	Look(ctx context.Context, src spec.Source) ([]ingest.Found, error)
}

// Watched tells whether anything in force waits for files.
func Watched(list []spec.Resource) bool {
	for _, t := range spec.All[*spec.Trigger](list) {
		for _, on := range t.On {
			if on == spec.EventFileLanded {
				return true
			}
		}
	}
	return false
}

// LookAt looks at the files of a source and tells of those that landed since
// the look before. What is there at the first look has been there before, and
// is not told. A local file has landed when two looks find it the same, so
// that one that is being written is left alone; an object of a bucket at once.
// What was seen is kept in the catalog, so that a file is told once, whatever
// is started anew.
func (t *Triggers) LookAt(ctx context.Context, files Lister, src spec.Source) error {
	found, err := files.Look(ctx, src)
	if err != nil {
		return err
	}
	if len(found) > maxWatched {
		return fault.New(fault.TooLarge, "source %q has %d files, more than %d", src.Name, len(found), maxWatched).
			Hint("narrow its pattern")
	}
	var changes []change
	var first bool
	look := func(tx catalog.Tx) (err error) {
		changes, first, err = changesOf(ctx, tx, src, found)
		return err
	}
	if err := t.DB.Read(ctx, look); err != nil || len(changes) == 0 && !first {
		return err // mostly nothing changed, and nothing is written
	}
	err = t.DB.Write(ctx, func(tx catalog.Tx) error {
		if err := look(tx); err != nil {
			return err
		}
		if first {
			if err := t.begin(ctx, tx, src); err != nil {
				return err
			}
		}
		for _, c := range changes {
			if err := t.note(ctx, tx, src, c, first); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		t.Wake()
	}
	return err
}

// change is a file that is not as it was at the look before.
type change struct {
	ingest.Found
	mark   string
	gone   bool
	landed bool
}

// markOf tells one state of a file from another.
func markOf(f ingest.Found) string {
	if f.Digest != "" {
		return f.Digest
	}
	return fmt.Sprintf("%d-%d", f.Size, f.Modified)
}

// changesOf compares the files with what was seen. first tells that the source
// is looked at for the first time, or reads from another place than before.
func changesOf(ctx context.Context, tx catalog.Tx, src spec.Source, found []ingest.Found) (out []change, first bool, err error) {
	var place string
	err = tx.Row(ctx, `SELECT place FROM watched_sources WHERE source = ?`, []any{src.Name}, &place)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return nil, false, err
	}
	first = place != src.From
	type seen struct{ name, mark, landed string }
	known := map[string]seen{}
	if !first {
		rows, err := catalog.Collect(ctx, tx, func(rows *sql.Rows) (s seen, err error) {
			return s, rows.Scan(&s.name, &s.mark, &s.landed)
		}, `SELECT name, mark, landed FROM watched_files WHERE source = ?`, src.Name)
		if err != nil {
			return nil, false, err
		}
		for _, s := range rows {
			known[s.name] = s
		}
	}
	for _, f := range found {
		s, was := known[f.Name]
		delete(known, f.Name)
		mark := markOf(f)
		whole := f.Modified == 0 || was && s.mark == mark
		if was && s.landed == mark || was && s.mark == mark && !whole {
			continue
		}
		out = append(out, change{Found: f, mark: mark, landed: whole})
	}
	for name := range known {
		out = append(out, change{Found: ingest.Found{Object: ingest.Object{Name: name}}, gone: true})
	}
	return out, first, nil
}

// begin forgets what was seen of a source.
func (t *Triggers) begin(ctx context.Context, tx catalog.Tx, src spec.Source) error {
	if _, err := tx.Exec(ctx, `DELETE FROM watched_files WHERE source = ?`, src.Name); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `INSERT INTO watched_sources (source, place, since) VALUES (?, ?, ?)
		ON CONFLICT (source) DO UPDATE SET place = excluded.place, since = excluded.since`,
		src.Name, src.From, catalog.Micros(t.Clock.Now()))
	return err
}

// note keeps one change, and tells of a file that landed.
func (t *Triggers) note(ctx context.Context, tx catalog.Tx, src spec.Source, c change, first bool) error {
	if c.gone {
		_, err := tx.Exec(ctx, `DELETE FROM watched_files WHERE source = ? AND name = ?`, src.Name, c.Name)
		return err
	}
	landed := ""
	if c.landed || first {
		landed = c.mark
	}
	_, err := tx.Exec(ctx, `INSERT INTO watched_files (source, name, mark, landed, seen) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (source, name) DO UPDATE SET mark = excluded.mark, seen = excluded.seen,
			landed = CASE WHEN excluded.landed = '' THEN watched_files.landed ELSE excluded.landed END`,
		src.Name, c.Name, c.mark, landed, catalog.Micros(t.Clock.Now()))
	if err != nil || landed == "" || first {
		return err
	}
	at := t.Clock.Now()
	if c.Modified != 0 {
		at = time.Unix(0, c.Modified)
	}
	return t.Publish(ctx, tx, Event{ID: "file.landed/" + src.Name + "/" + c.Name + "/" + c.mark, Type: spec.EventFileLanded,
		Subject: src.Name, At: at, Fields: map[string]expr.Value{
			"source": expr.String(src.Name), "file": expr.String(c.Name), "bytes": expr.Int(c.Size)}})
}
