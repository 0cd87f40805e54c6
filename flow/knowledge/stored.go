package knowledge

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/catalog"
)

// noTime asks for what is now.
var noTime time.Time

// states of documents.
const (
	stateIndexed   = "indexed"
	stateFailed    = "failed"    // could not be read; what was indexed before stays
	stateWithdrawn = "withdrawn" // gone from its source
)

// Document is a document as it is in the newest snapshot.
type Document struct {
	ID       string    `json:"id"`
	Origin   string    `json:"source"` // where it comes from
	State    string    `json:"state" enum:"indexed,failed,withdrawn"`
	Version  string    `json:"version,omitempty"`
	Readers  []string  `json:"readers"`
	Title    string    `json:"title,omitempty"`
	URL      string    `json:"url,omitempty"`
	Bytes    int64     `json:"bytes"`
	Passages int       `json:"passages"`
	Reason   string    `json:"reason,omitempty"` // why it could not be read
	Hint     string    `json:"hint,omitempty"`
	Changed  time.Time `json:"changed"`

	mark     string
	text     string // digest
	prepared string // blob that has its passages
}

const documentColumns = `document, origin, mark, state, version, text, prepared, readers, title, url, bytes, passages, reason, hint, changed_at`

func scanDocument(rows *sql.Rows) (Document, error) {
	var d Document
	var readers string
	var changed int64
	err := rows.Scan(&d.ID, &d.Origin, &d.mark, &d.State, &d.Version, &d.text, &d.prepared, &readers, &d.Title, &d.URL, &d.Bytes, &d.Passages,
		&d.Reason, &d.Hint, &changed)
	if err != nil {
		return d, err
	}
	d.Changed = catalog.Time(changed)
	return d, json.Unmarshal([]byte(readers), &d.Readers)
}

func (s *Store) putDocument(ctx context.Context, tx catalog.Tx, knowledge string, d Document) error {
	if d.Readers == nil {
		d.Readers = []string{}
	}
	readers, err := json.Marshal(d.Readers)
	if err != nil {
		return err
	}
	if err := s.closeVersions(ctx, tx, knowledge, d); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO knowledge_documents (space, knowledge, `+documentColumns+`)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (space, knowledge, document) DO UPDATE SET origin = excluded.origin, mark = excluded.mark, state = excluded.state,
			version = excluded.version, text = excluded.text, prepared = excluded.prepared, readers = excluded.readers, title = excluded.title,
			url = excluded.url, bytes = excluded.bytes, passages = excluded.passages, reason = excluded.reason, hint = excluded.hint,
			changed_at = excluded.changed_at`,
		s.deps.Space, knowledge, d.ID, d.Origin, d.mark, d.State, d.Version, d.text, d.prepared, string(readers), d.Title, d.URL, d.Bytes, d.Passages,
		d.Reason, d.Hint, catalog.Micros(d.Changed))
	return err
}

// document returns one, without asking who may read it.
func (s *Store) document(ctx context.Context, knowledge, id string) (Document, error) {
	var found []Document
	err := s.deps.DB.Read(ctx, func(tx catalog.Tx) (err error) {
		found, err = catalog.Collect(ctx, tx, scanDocument, `SELECT `+documentColumns+` FROM knowledge_documents
			WHERE space = ? AND knowledge = ? AND document = ?`, s.deps.Space, knowledge, id)
		return err
	})
	if err == nil && len(found) == 0 {
		err = noDocument(knowledge, id)
	}
	if err != nil {
		return Document{}, err
	}
	return found[0], nil
}

// allDocuments returns every document by its id.
func (s *Store) allDocuments(ctx context.Context, knowledge string) (map[string]Document, error) {
	var all map[string]Document
	err := s.deps.DB.Read(ctx, func(tx catalog.Tx) (err error) {
		all, err = s.documentsIn(ctx, tx, knowledge)
		return err
	})
	return all, err
}

func (s *Store) documentsIn(ctx context.Context, tx catalog.Tx, knowledge string) (map[string]Document, error) {
	all := map[string]Document{}
	_, err := catalog.Collect(ctx, tx, func(rows *sql.Rows) (struct{}, error) {
		d, err := scanDocument(rows)
		all[d.ID] = d
		return struct{}{}, err
	}, `SELECT `+documentColumns+` FROM knowledge_documents WHERE space = ? AND knowledge = ?`, s.deps.Space, knowledge)
	return all, err
}

const versionColumns = `v.document, v.version, v.text, v.bytes, v.text_size, v.title, v.format, v.seen_at,
	CASE WHEN d.version = v.version AND d.text = v.text AND d.state <> 'withdrawn' THEN 1 ELSE 0 END`

func scanVersion(rows *sql.Rows) (Version, error) {
	var v Version
	var seen, current int64
	err := rows.Scan(&v.Document, &v.Version, &v.Text, &v.Bytes, &v.TextSize, &v.Title, &v.Format, &seen, &current)
	v.Seen, v.Current = catalog.Time(seen), current == 1
	return v, err
}

// version finds a version of a document; of several renderings the latest,
// unless the digest of one is given.
func (s *Store) version(ctx context.Context, knowledge, document, version, text string) (Version, error) {
	all, err := s.versions(ctx, knowledge, document)
	if err != nil {
		return Version{}, err
	}
	for _, v := range all {
		if v.Version == version && (text == "" || v.Text == text) {
			return v, nil
		}
	}
	return Version{}, fault.New(fault.NotFound, "%q has no version %.12s of %q", knowledge, version, document)
}

// versions lists those of a document since it was last withdrawn, the newest
// first.
func (s *Store) versions(ctx context.Context, knowledge, document string) ([]Version, error) {
	var all []Version
	err := s.deps.DB.Read(ctx, func(tx catalog.Tx) (err error) {
		all, err = catalog.Collect(ctx, tx, scanVersion, `SELECT `+versionColumns+` FROM knowledge_versions v
			LEFT JOIN knowledge_documents d ON d.space = v.space AND d.knowledge = v.knowledge AND d.document = v.document
			WHERE v.space = ? AND v.knowledge = ? AND v.document = ? AND v.withdrawn = 0 ORDER BY v.seen_at DESC, v.rendering DESC, v.version`,
			s.deps.Space, knowledge, document)
		return err
	})
	return all, err
}

func (s *Store) putVersion(ctx context.Context, tx catalog.Tx, knowledge string, v Version, rendering int) error {
	_, err := tx.Exec(ctx, `INSERT INTO knowledge_versions (space, knowledge, document, version, text, bytes, text_size, title, format, rendering, seen_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		s.deps.Space, knowledge, v.Document, v.Version, v.Text, v.Bytes, v.TextSize, v.Title, v.Format, rendering, catalog.Micros(v.Seen))
	return err
}

const snapshotColumns = `name, run, state, documents, passages, changed, removed, errors, measures, reason, embedder, made_at`

// stored is a snapshot with what only the store knows of it.
type stored struct {
	Snapshot
	content  string // what it was made of
	settings string
}

func scanSnapshot(rows *sql.Rows) (stored, error) {
	var st stored
	var measures string
	var made int64
	err := rows.Scan(&st.Name, &st.Run, &st.State, &st.Documents, &st.Passages, &st.Changed, &st.Removed, &st.Errors, &measures, &st.Reason,
		&st.Embedder, &made, &st.content, &st.settings)
	if err != nil {
		return st, err
	}
	st.Made = catalog.Time(made)
	return st, json.Unmarshal([]byte(measures), &st.Measures)
}

func (s *Store) putSnapshot(ctx context.Context, tx catalog.Tx, knowledge string, st stored) error {
	measures, err := json.Marshal(st.Measures)
	if err != nil {
		return err
	}
	seq, err := catalog.Next(ctx, tx, "knowledge_snapshots/"+s.deps.Space+"/"+knowledge)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO knowledge_snapshots (space, knowledge, seq, `+snapshotColumns+`, content, settings)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (space, knowledge, name) DO UPDATE SET seq = excluded.seq, run = excluded.run, state = excluded.state,
			documents = excluded.documents, passages = excluded.passages, changed = excluded.changed, removed = excluded.removed,
			errors = excluded.errors, measures = excluded.measures, reason = excluded.reason, embedder = excluded.embedder,
			made_at = excluded.made_at, content = excluded.content, settings = excluded.settings`,
		s.deps.Space, knowledge, seq, st.Name, st.Run, st.State, st.Documents, st.Passages, st.Changed, st.Removed, st.Errors, string(measures),
		st.Reason, st.Embedder, catalog.Micros(st.Made), st.content, st.settings)
	return err
}

// snapshots lists those of a knowledge, the newest first.
func (s *Store) snapshots(ctx context.Context, tx catalog.Tx, knowledge string) ([]stored, error) {
	return catalog.Collect(ctx, tx, scanSnapshot, `SELECT `+snapshotColumns+`, content, settings FROM knowledge_snapshots
		WHERE space = ? AND knowledge = ? ORDER BY seq DESC`, s.deps.Space, knowledge)
}

func (s *Store) setSnapshotState(ctx context.Context, tx catalog.Tx, knowledge, name, state string) error {
	_, err := tx.Exec(ctx, `UPDATE knowledge_snapshots SET state = ? WHERE space = ? AND knowledge = ? AND name = ?`,
		state, s.deps.Space, knowledge, name)
	return err
}

// named finds a snapshot by its name; NotFound where there is none.
func (s *Store) named(ctx context.Context, tx catalog.Tx, knowledge, name string) (stored, error) {
	found, err := catalog.Collect(ctx, tx, scanSnapshot, `SELECT `+snapshotColumns+`, content, settings FROM knowledge_snapshots
		WHERE space = ? AND knowledge = ? AND name = ?`, s.deps.Space, knowledge, name)
	if err != nil {
		return stored{}, err
	}
	if len(found) == 0 {
		return stored{}, fault.New(fault.NotFound, "%q has no snapshot %q", knowledge, name).Hint("`leat knowledge history %s` lists them", knowledge)
	}
	return found[0], nil
}

func scanChange(rows *sql.Rows) (Change, error) {
	var c Change
	var at int64
	err := rows.Scan(&c.Snapshot, &at, &c.By, &c.Why, &c.Held)
	c.At = catalog.Time(at)
	return c, err
}

// changes lists what was live, the newest first; before the time at only,
// unless that is zero.
func (s *Store) changes(ctx context.Context, tx catalog.Tx, knowledge string, at time.Time, limit int) ([]Change, error) {
	until := int64(1) << 62
	if !at.IsZero() {
		until = catalog.Micros(at)
	}
	return catalog.Collect(ctx, tx, scanChange, `SELECT snapshot, at, by, why, held FROM knowledge_live
		WHERE space = ? AND knowledge = ? AND at <= ? ORDER BY seq DESC LIMIT ?`, s.deps.Space, knowledge, until, limit)
}

func (s *Store) putChange(ctx context.Context, tx catalog.Tx, knowledge string, c Change) error {
	seq, err := catalog.Next(ctx, tx, "knowledge_live/"+s.deps.Space+"/"+knowledge)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO knowledge_live (space, knowledge, seq, snapshot, held, by, why, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		s.deps.Space, knowledge, seq, c.Snapshot, c.Held, c.By, c.Why, catalog.Micros(c.At))
	return err
}
