package knowledge

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/catalog"
)

// Status is how a knowledge is.
type Status struct {
	Name      string             `json:"name"`
	Snapshot  string             `json:"snapshot,omitempty"` // live; "" before the first
	Held      bool               `json:"held,omitempty"`     // newer ones do not go live
	Newest    string             `json:"newest,omitempty"`   // the newest one, where it is not the live one
	Documents int                `json:"documents"`
	Passages  int                `json:"passages"`
	Errors    int                `json:"errors"` // documents and sources that cannot be read
	Withdrawn int                `json:"withdrawn,omitempty"`
	Live      time.Time          `json:"live,omitzero"`    // since when the snapshot is live
	Checked   time.Time          `json:"checked,omitzero"` // when the sources were looked at last
	Measures  map[string]float64 `json:"measures,omitempty"`
	Embedder  string             `json:"embedder,omitempty"`
	Every     string             `json:"every,omitempty"`
	Sources   []SourceStatus     `json:"sources"`
	Rejected  string             `json:"rejected,omitempty"` // why the newest snapshot did not pass the gate
}

// SourceStatus is how one source of a knowledge is.
type SourceStatus struct {
	From      string    `json:"from"`
	Documents int       `json:"documents"`
	Errors    int       `json:"errors"`
	Bytes     int64     `json:"bytes"`
	Checked   time.Time `json:"checked,omitzero"`
	Reason    string    `json:"reason,omitempty"` // why it could not be read
}

// Names lists every knowledge, by name.
func (s *Store) Names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.specs))
}

// List shows how every knowledge is, by name.
func (s *Store) List(ctx context.Context) ([]Status, error) {
	all := []Status{}
	for _, name := range s.Names() {
		st, err := s.Status(ctx, name)
		if fault.Is(err, fault.NotFound) {
			continue // it went meanwhile
		}
		if err != nil {
			return nil, err
		}
		all = append(all, st)
	}
	return all, nil
}

// Status shows how a knowledge is.
func (s *Store) Status(ctx context.Context, name string) (Status, error) {
	k, err := s.spec(name)
	if err != nil {
		return Status{}, err
	}
	var st Status
	err = s.deps.DB.Read(ctx, func(tx catalog.Tx) error {
		st = Status{Name: name, Embedder: k.Embed, Sources: []SourceStatus{}}
		if k.Every > 0 {
			st.Every = k.Every.String()
		}
		if err := s.statusSnapshots(ctx, tx, &st); err != nil {
			return err
		}
		by, err := s.statusSources(ctx, tx, &st)
		if err != nil {
			return err
		}
		for _, o := range origins(k) {
			src := by[o.name]
			src.From = o.name
			st.Sources = append(st.Sources, src)
			st.Errors += src.Errors
			if src.Reason != "" {
				st.Errors++
			}
			if src.Checked.After(st.Checked) {
				st.Checked = src.Checked
			}
		}
		return nil
	})
	return st, err
}

func (s *Store) statusSnapshots(ctx context.Context, tx catalog.Tx, st *Status) error {
	changes, err := s.changes(ctx, tx, st.Name, noTime, 1)
	if err != nil {
		return err
	}
	all, err := s.snapshots(ctx, tx, st.Name)
	if err != nil {
		return err
	}
	if len(all) > 0 && all[0].State == Rejected {
		st.Rejected = all[0].Reason
	}
	if len(changes) == 0 {
		return nil
	}
	st.Snapshot, st.Held, st.Live = changes[0].Snapshot, changes[0].Held, changes[0].At
	for i, x := range all {
		if x.Name == st.Snapshot {
			st.Documents, st.Passages, st.Measures = x.Documents, x.Passages, x.Measures
			break
		}
		if i == 0 {
			st.Newest = x.Name
		}
	}
	return nil
}

func (s *Store) statusSources(ctx context.Context, tx catalog.Tx, st *Status) (map[string]SourceStatus, error) {
	by := map[string]SourceStatus{}
	_, err := catalog.Collect(ctx, tx, func(rows *sql.Rows) (struct{}, error) {
		var name, state string
		var n, size int64
		if err := rows.Scan(&name, &state, &n, &size); err != nil {
			return struct{}{}, err
		}
		src := by[name]
		switch state {
		case stateWithdrawn:
			st.Withdrawn += int(n)
		case stateFailed:
			src.Errors += int(n)
		default:
			src.Documents += int(n)
			src.Bytes += size
		}
		by[name] = src
		return struct{}{}, nil
	}, `SELECT origin, state, COUNT(*), CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM knowledge_documents WHERE space = ? AND knowledge = ? GROUP BY origin, state`,
		s.deps.Space, st.Name)
	if err != nil {
		return nil, err
	}
	_, err = catalog.Collect(ctx, tx, func(rows *sql.Rows) (struct{}, error) {
		var name, reason string
		var seen int64
		if err := rows.Scan(&name, &reason, &seen); err != nil {
			return struct{}{}, err
		}
		src := by[name]
		src.Reason, src.Checked = reason, catalog.Time(seen)
		by[name] = src
		return struct{}{}, nil
	}, `SELECT origin, reason, seen_at FROM knowledge_origins WHERE space = ? AND knowledge = ?`, s.deps.Space, st.Name)
	return by, err
}

// maxListed bounds one page of documents.
const maxListed = 1000

// Documents lists those that who asks may read, by id, after the one given.
// With failed, only those that could not be read.
func (s *Store) Documents(ctx context.Context, knowledge, after string, limit int, failed bool) ([]Document, error) {
	k, err := s.spec(knowledge)
	if err != nil {
		return nil, err
	}
	who, err := reader(ctx)
	if err != nil {
		return nil, err
	}
	h, err := s.acquire(ctx, k)
	if err != nil {
		return nil, err
	}
	defer s.release(h)
	if limit <= 0 || limit > maxListed {
		limit = maxListed
	}
	out := []Document{}
	for len(out) < limit {
		page, err := s.page(ctx, knowledge, after, limit, failed)
		if err != nil || len(page) == 0 {
			return out, err
		}
		after = page[len(page)-1].ID
		ids := make([]string, len(page))
		for i, d := range page {
			ids[i] = d.ID
		}
		may, err := readables(ctx, h.index, who, ids)
		if err != nil {
			return nil, err
		}
		for i, d := range page {
			// What was never indexed has no readers in the index yet.
			if (may[i] || d.Version == "" && who.May(d.Readers)) && len(out) < limit {
				out = append(out, d)
			}
		}
	}
	return out, nil
}

func (s *Store) page(ctx context.Context, knowledge, after string, limit int, failed bool) (page []Document, err error) {
	states := []any{stateIndexed, stateFailed}
	if failed {
		states[0] = stateFailed
	}
	err = s.deps.DB.Read(ctx, func(tx catalog.Tx) error {
		page, err = catalog.Collect(ctx, tx, scanDocument, `SELECT `+documentColumns+` FROM knowledge_documents
			WHERE space = ? AND knowledge = ? AND document > ? AND state IN (?, ?) ORDER BY document LIMIT ?`,
			s.deps.Space, knowledge, after, states[0], states[1], limit)
		return err
	})
	return page, err
}

// Errors lists documents that could not be read, whoever may read them: it is
// for who keeps the knowledge.
func (s *Store) Errors(ctx context.Context, knowledge, after string, limit int) ([]Document, error) {
	if _, err := s.spec(knowledge); err != nil {
		return nil, err
	}
	if limit <= 0 || limit > maxListed {
		limit = maxListed
	}
	return s.page(ctx, knowledge, after, limit, true)
}

// Versions lists those of a document, the newest first.
func (s *Store) Versions(ctx context.Context, knowledge, document string) ([]Version, error) {
	if err := s.mayRead(ctx, knowledge, document); err != nil {
		return nil, err
	}
	return s.versions(ctx, knowledge, document)
}

// History is what a knowledge had, the newest first.
type History struct {
	Snapshots []Snapshot `json:"snapshots"`
	Changes   []Change   `json:"changes"` // of what is live
}

// maxChanges bounds how many changes a history shows.
const maxChanges = 200

// History shows the snapshots of a knowledge, and what was live when.
func (s *Store) History(ctx context.Context, knowledge string) (History, error) {
	if _, err := s.spec(knowledge); err != nil {
		return History{}, err
	}
	var h History
	err := s.deps.DB.Read(ctx, func(tx catalog.Tx) (err error) {
		h = History{Snapshots: []Snapshot{}}
		if h.Changes, err = s.changes(ctx, tx, knowledge, noTime, maxChanges); err != nil {
			return err
		}
		all, err := s.snapshots(ctx, tx, knowledge)
		for _, st := range all {
			st.Live = len(h.Changes) > 0 && h.Changes[0].Snapshot == st.Name
			h.Snapshots = append(h.Snapshots, st.Snapshot)
		}
		return err
	})
	return h, err
}

// Latest is the snapshot to go back to that ends a rollback.
const Latest = "latest"

// Rollback makes an earlier snapshot live, the one before when to is empty, and
// holds it: new ones are built and do not go live until a rollback to Latest.
func (s *Store) Rollback(ctx context.Context, knowledge, to, by string) (Change, error) {
	if _, err := s.spec(knowledge); err != nil {
		return Change{}, err
	}
	var made Change
	err := s.deps.DB.Write(ctx, func(tx catalog.Tx) error {
		changes, err := s.changes(ctx, tx, knowledge, noTime, maxChanges)
		if err != nil {
			return err
		}
		if len(changes) == 0 {
			return fault.New(fault.NotFound, "%q has no snapshot yet", knowledge)
		}
		made = Change{At: s.deps.Clock.Now(), By: by, Why: whyRollback, Held: true}
		st, err := s.goal(ctx, tx, knowledge, to, changes)
		if err != nil {
			return err
		}
		if err := st.usable(knowledge); err != nil {
			return err
		}
		if made.Snapshot = st.Name; to == Latest {
			made.Why, made.Held = whyResumed, false
		}
		if made.Snapshot == changes[0].Snapshot && made.Held == changes[0].Held {
			made = changes[0]
			return nil
		}
		return s.putChange(ctx, tx, knowledge, made)
	})
	return made, err
}

// goal finds the snapshot that a rollback goes to.
func (s *Store) goal(ctx context.Context, tx catalog.Tx, knowledge, to string, changes []Change) (stored, error) {
	switch to {
	case Latest:
		all, err := s.snapshots(ctx, tx, knowledge)
		if err != nil {
			return stored{}, err
		}
		for _, st := range all {
			if st.State == Ready {
				return st, nil
			}
		}
		return stored{}, fault.New(fault.NotFound, "%q has no snapshot to go to", knowledge)
	case "":
		for _, c := range changes[1:] {
			if c.Snapshot == changes[0].Snapshot {
				continue
			}
			st, err := s.named(ctx, tx, knowledge, c.Snapshot)
			if err == nil && st.State == Ready {
				return st, nil
			}
		}
		return stored{}, fault.New(fault.NotFound, "%q has no snapshot before the live one", knowledge)
	}
	return s.named(ctx, tx, knowledge, to)
}
