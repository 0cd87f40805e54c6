package knowledge

import (
	"context"
	"database/sql"
	"maps"
	"slices"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/work"

	"github.com/leat-ai/leat/flow/knowledge/document"
)

// Why a snapshot became live.
const (
	whyBuilt    = "built"
	whyRollback = "rollback"
	whyResumed  = "resumed" // a rollback is over
)

// swap makes a snapshot live, with the rows of its documents: all of it is one
// transaction, and done twice it changes nothing the second time.
func (j *job) swap(ctx context.Context, parts []done, made built) (Report, error) {
	s, name := j.store, j.spec.Name
	before, err := s.allDocuments(ctx, name)
	if err != nil {
		return Report{}, err
	}
	rows, changed, err := j.outcome(ctx, before, parts)
	if err != nil {
		return Report{}, err
	}
	versions, err := j.versions(ctx, parts)
	if err != nil {
		return Report{}, err
	}
	now := s.deps.Clock.Now()
	report := j.report(parts, made, rows)
	for id := range before {
		if _, ok := rows[id]; !ok {
			report.Removed++
		}
	}
	report.Unchanged = made.Name == j.plan.Head
	s.access.Lock()
	defer s.access.Unlock()
	err = s.deps.DB.Write(ctx, func(tx catalog.Tx) error {
		if err := j.putRows(ctx, tx, before, rows); err != nil {
			return err
		}
		for _, v := range versions {
			v.Seen = now
			if err := s.putVersion(ctx, tx, name, v, document.Rendering); err != nil {
				return err
			}
		}
		if err := j.putOrigins(ctx, tx); err != nil {
			return err
		}
		if err := j.setUnopened(ctx, tx); err != nil {
			return err
		}
		snapshot := Snapshot{Name: made.Name, Run: j.run, State: Ready, Documents: made.Documents, Passages: made.Passages, Changed: len(changed),
			Removed: report.Removed, Errors: report.Errors, Measures: made.Measures, Embedder: j.spec.Embed, Made: now}
		held, err := j.goLive(ctx, tx, snapshot)
		report.Held = held
		return err
	})
	report.Seconds = s.deps.Clock.Now().Sub(j.plan.Began).Seconds()
	return report, err
}

// putRows writes what the documents are now in place of what they were before,
// and keeps what was withdrawn or closed since that was read.
func (j *job) putRows(ctx context.Context, tx catalog.Tx, before, rows map[string]Document) error {
	s, name := j.store, j.spec.Name
	now, err := s.documentsIn(ctx, tx, name)
	if err != nil {
		return err
	}
	rows = keepAcknowledged(before, now, rows)
	for id := range now {
		if _, ok := rows[id]; ok {
			continue
		}
		if _, err := tx.Exec(ctx, `DELETE FROM knowledge_documents WHERE space = ? AND knowledge = ? AND document = ?`, s.deps.Space, name, id); err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		if same(now[id], rows[id]) {
			continue
		}
		if err := s.putDocument(ctx, tx, name, rows[id]); err != nil {
			return err
		}
	}
	return nil
}

// goLive notes the snapshot as the newest and, unless somebody went back to an
// earlier one, as the live one.
func (j *job) goLive(ctx context.Context, tx catalog.Tx, snapshot Snapshot) (held bool, err error) {
	s, name := j.store, j.spec.Name
	changes, err := s.changes(ctx, tx, name, noTime, 1)
	if err != nil {
		return false, err
	}
	known, err := s.named(ctx, tx, name, snapshot.Name)
	again := err == nil && known.Run == snapshot.Run && known.State == Ready
	if err != nil && !fault.Is(err, fault.NotFound) {
		return false, err
	}
	held = len(changes) > 0 && changes[0].Held
	if again || known.State == Ready && snapshot.Name == j.plan.Head {
		return held, nil // this step was done before, or what was read is what was known
	}
	if err := s.putSnapshot(ctx, tx, name, stored{Snapshot: snapshot, settings: j.plan.Recipe}); err != nil {
		return held, err
	}
	if held {
		return held, nil
	}
	if len(changes) == 0 || changes[0].Snapshot != snapshot.Name {
		if err := s.putChange(ctx, tx, name, Change{Snapshot: snapshot.Name, At: snapshot.Made, By: j.by, Why: whyBuilt}); err != nil {
			return held, err
		}
	}
	if s.deps.Listener == nil {
		return held, nil
	}
	return held, s.deps.Listener.Live(ctx, tx, name, snapshot)
}

// same tells whether two rows say the same.
func same(a, b Document) bool {
	return a.ID == b.ID && a.Origin == b.Origin && a.State == b.State && a.Version == b.Version && a.text == b.text && a.mark == b.mark &&
		a.prepared == b.prepared && a.Title == b.Title && a.URL == b.URL && a.Bytes == b.Bytes && a.Passages == b.Passages && a.Reason == b.Reason &&
		a.Hint == b.Hint && a.Changed.Equal(b.Changed) && slices.Equal(a.Readers, b.Readers)
}

// versions are those that the parts read.
func (j *job) versions(ctx context.Context, parts []done) ([]Version, error) {
	var all []Version
	for _, p := range parts {
		by, err := j.store.preparedOf(ctx, p.Blob)
		if err != nil {
			return nil, err
		}
		for _, id := range slices.Sorted(maps.Keys(by)) {
			if one := by[id]; one.Version != "" && one.Problem == nil && !one.Same && !one.Gone {
				all = append(all, Version{Document: id, Version: one.Version, Text: one.Text, Bytes: one.Bytes, TextSize: one.TextSize,
					Title: one.Title, Format: one.Format})
			}
		}
	}
	return all, nil
}

func (j *job) report(parts []done, made built, rows map[string]Document) Report {
	r := Report{Run: j.run, Knowledge: j.spec.Name, Snapshot: made.Name, Listed: j.plan.Listed, Documents: made.Documents, Passages: made.Passages,
		Measures: made.Measures, Problems: j.plan.Problems}
	for _, p := range parts {
		r.Read += p.Read
		r.Changed += p.Changed
		r.Bytes += p.Bytes
		r.Embedded += p.Embedded
	}
	r.Errors = len(j.plan.Problems)
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		if d := rows[id]; d.State == stateFailed {
			r.Errors++
			if len(r.Problems) < maxProblems {
				r.Problems = append(r.Problems, Problem{Document: id, Source: d.Origin, Reason: d.Reason, Hint: d.Hint})
			}
		}
	}
	return r
}

// unchanged ends a run that found nothing to do.
func (j *job) unchanged(ctx context.Context, _ *work.Progress) (Report, error) {
	s := j.store
	report := Report{Run: j.run, Knowledge: j.spec.Name, Unchanged: true, Listed: j.plan.Listed, Problems: j.plan.Problems, Errors: len(j.plan.Problems)}
	err := s.deps.DB.Write(ctx, func(tx catalog.Tx) error {
		if err := j.putOrigins(ctx, tx); err != nil {
			return err
		}
		head, err := s.named(ctx, tx, j.spec.Name, j.plan.Head)
		if err != nil {
			return err
		}
		report.Snapshot, report.Documents, report.Passages = head.Name, head.Documents, head.Passages
		changes, err := s.changes(ctx, tx, j.spec.Name, noTime, 1)
		report.Held = err == nil && len(changes) > 0 && changes[0].Held
		return err
	})
	report.Seconds = s.deps.Clock.Now().Sub(j.plan.Began).Seconds()
	return report, err
}

// opened lets those read what is live now who could not read what was before,
// and drops snapshots that are not kept.
func (j *job) opened(ctx context.Context, parts []done) error {
	s := j.store
	s.access.Lock()
	defer s.access.Unlock()
	h, err := s.acquire(ctx, j.spec)
	if err != nil {
		return err
	}
	defer s.release(h)
	ids := []string{}
	for _, p := range parts {
		by, err := s.preparedOf(ctx, p.Blob)
		if err != nil {
			return err
		}
		ids = slices.AppendSeq(ids, maps.Keys(by))
	}
	if slices.Sort(ids); j.plan.Fresh { // it may be an index that knows of nobody
		ids = nil
	}
	if err := j.open(ctx, h.index, ids); err != nil {
		return err
	}
	return j.retire(ctx, h.index)
}

// retire drops the snapshots that are more than the resource keeps, but for
// those that something still serves.
func (j *job) retire(ctx context.Context, idx index.Snapshots) error {
	s, name := j.store, j.spec.Name
	var used []string
	if s.deps.Used != nil {
		var err error
		if used, err = s.deps.Used(ctx, name); err != nil {
			return err
		}
	}
	var drop []string
	err := s.deps.DB.Read(ctx, func(tx catalog.Tx) error {
		drop = nil
		all, err := s.snapshots(ctx, tx, name)
		if err != nil {
			return err
		}
		changes, err := s.changes(ctx, tx, name, noTime, 1)
		if err != nil {
			return err
		}
		kept := 0
		for i, st := range all {
			live := len(changes) > 0 && changes[0].Snapshot == st.Name
			switch {
			case st.State != Ready || live || i == 0 || slices.Contains(used, st.Name):
			case kept < j.spec.Keep:
				kept++
			default:
				drop = append(drop, st.Name)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, d := range drop {
		if err := idx.Drop(ctx, d); err != nil {
			return err
		}
		if err := s.deps.DB.Write(ctx, func(tx catalog.Tx) error { return s.setSnapshotState(ctx, tx, name, d, Dropped) }); err != nil {
			return err
		}
	}
	return nil
}

// putOrigins notes how far sources were read, and which could not be.
func (j *job) putOrigins(ctx context.Context, tx catalog.Tx) error {
	s, now := j.store, catalog.Micros(j.store.deps.Clock.Now())
	reasons := map[string]string{}
	for _, p := range j.plan.Problems {
		if p.Document == "" {
			reasons[p.Source] = p.Reason
		}
	}
	names := map[string]bool{}
	for _, o := range origins(j.spec) {
		names[o.name] = true
		state, listed := j.plan.States[o.name]
		if !listed {
			if _, err := tx.Exec(ctx, `INSERT INTO knowledge_origins (space, knowledge, origin, state, reason, seen_at) VALUES (?, ?, ?, '', ?, 0)
				ON CONFLICT (space, knowledge, origin) DO UPDATE SET reason = excluded.reason`, s.deps.Space, j.spec.Name, o.name, reasons[o.name]); err != nil {
				return err
			}
			continue
		}
		if _, err := tx.Exec(ctx, `INSERT INTO knowledge_origins (space, knowledge, origin, state, reason, seen_at) VALUES (?, ?, ?, ?, '', ?)
			ON CONFLICT (space, knowledge, origin) DO UPDATE SET state = excluded.state, reason = '', seen_at = excluded.seen_at`,
			s.deps.Space, j.spec.Name, o.name, state, now); err != nil {
			return err
		}
	}
	known, err := s.originStates(ctx, tx, j.spec.Name)
	if err != nil {
		return err
	}
	for name := range known {
		if names[name] || name == unopened {
			continue
		}
		if _, err := tx.Exec(ctx, `DELETE FROM knowledge_origins WHERE space = ? AND knowledge = ? AND origin = ?`, s.deps.Space, j.spec.Name, name); err != nil {
			return err
		}
	}
	return nil
}

// originStates says how far each source was read.
func (s *Store) originStates(ctx context.Context, tx catalog.Tx, knowledge string) (map[string]string, error) {
	states := map[string]string{}
	_, err := catalog.Collect(ctx, tx, func(rows *sql.Rows) (struct{}, error) {
		var name, state string
		err := rows.Scan(&name, &state)
		states[name] = state
		return struct{}{}, err
	}, `SELECT origin, state FROM knowledge_origins WHERE space = ? AND knowledge = ?`, s.deps.Space, knowledge)
	return states, err
}
