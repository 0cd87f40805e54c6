package knowledge

import (
	"context"
	"maps"
	"slices"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/store/index"
)

// narrowed closes documents to whom their new version does not let in, before
// it is live: a snapshot that is swapped in is never read by those who could
// only read the one before. The rows lose their marks, so that a document that
// was narrowed for a version that never became live is looked at again.
func (j *job) narrowed(ctx context.Context, all []prepared) error {
	s := j.store
	s.access.Lock()
	defer s.access.Unlock()
	var closed []Document
	for _, p := range all {
		if p.Same || p.Gone || p.Problem != nil || j.plan.Head == "" {
			continue
		}
		d, err := s.document(ctx, j.spec.Name, p.ID)
		if fault.Is(err, fault.NotFound) || err == nil && d.State == stateWithdrawn {
			continue // nobody finds it before it is opened
		}
		if err != nil {
			return err
		}
		if fewer := narrow(d.Readers, p.Readers); !slices.Equal(fewer, d.Readers) {
			d.Readers, d.mark = fewer, ""
			closed = append(closed, d)
		}
	}
	if len(closed) == 0 {
		return nil
	}
	h, err := s.acquire(ctx, j.spec)
	if err != nil {
		return err
	}
	defer s.release(h)
	if err := h.index.Grant(ctx, accessOf(closed)); err != nil {
		return err
	}
	return s.deps.DB.Write(ctx, func(tx catalog.Tx) error {
		for _, d := range closed {
			if err := s.putDocument(ctx, tx, j.spec.Name, d); err != nil {
				return err
			}
		}
		return nil
	})
}

// unopened is the name, which no source has, of the row among those of sources
// that is there from a swap until the index knows the readers of its rows.
const unopened = ""

// setUnopened notes that the index does not know yet what the rows say.
func (j *job) setUnopened(ctx context.Context, tx catalog.Tx) error {
	_, err := tx.Exec(ctx, `INSERT INTO knowledge_origins (space, knowledge, origin, state, reason, seen_at) VALUES (?, ?, ?, '', '', 0)
		ON CONFLICT (space, knowledge, origin) DO NOTHING`, j.store.deps.Space, j.spec.Name, unopened)
	return err
}

// open gives the documents of these ids to those who may read them by their
// rows, all of them where there are no ids. It is called with the lock of
// access held, and reads the rows under it.
func (j *job) open(ctx context.Context, idx index.Control, ids []string) error {
	s := j.store
	rows, err := s.allDocuments(ctx, j.spec.Name)
	if err != nil {
		return err
	}
	if ids == nil {
		ids = slices.Sorted(maps.Keys(rows))
	}
	ids = slices.DeleteFunc(ids, func(id string) bool {
		d, there := rows[id]
		return !there || d.State == stateWithdrawn
	})
	read := make([]Document, len(ids))
	for i, id := range ids {
		read[i] = rows[id]
	}
	if err := idx.Grant(ctx, accessOf(read)); err != nil {
		return err
	}
	if err := idx.Restore(ctx, ids); err != nil {
		return err
	}
	return s.deps.DB.Write(ctx, func(tx catalog.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM knowledge_origins WHERE space = ? AND knowledge = ? AND origin = ?`, s.deps.Space, j.spec.Name, unopened)
		return err
	})
}

// openLeft does what a run before did not come to: it swapped, and could not
// open.
func (j *job) openLeft(ctx context.Context) error {
	s := j.store
	s.access.Lock()
	defer s.access.Unlock()
	h, err := s.acquire(ctx, j.spec)
	if err != nil {
		return err
	}
	defer s.release(h)
	return j.open(ctx, h.index, nil)
}

// keepAcknowledged puts what was acknowledged since the rows before were read into
// those that a swap writes: what was withdrawn stays so, and what was closed is
// not opened.
func keepAcknowledged(before, now, rows map[string]Document) map[string]Document {
	rows = maps.Clone(rows)
	for id, d := range now {
		old, there := before[id]
		if there && same(old, d) {
			continue
		}
		row, keep := rows[id]
		switch {
		case d.State == stateWithdrawn:
			rows[id] = d
		case keep:
			row.Readers, row.Changed = narrow(d.Readers, row.Readers), d.Changed
			rows[id] = row
		}
	}
	return rows
}
