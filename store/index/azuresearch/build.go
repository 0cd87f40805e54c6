package azuresearch

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"slices"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/store/index/analysis"
)

// snapshot is the body of a record about a snapshot.
type snapshot struct {
	index.Snapshot
	SID string // by which passages know it
}

// build writes passages under an identity that no snapshot has before Commit.
type build struct {
	x         *Index
	sid       string
	base      *snapshot // nil: from nothing
	settings  index.Settings
	dimension int
	defined   bool
	hidden    map[string]bool         // documents that the base has no more, by key
	put       map[string]map[int]bool // ordinals that were put, by document
	bytes     int64
	over      bool
}

// Build begins a snapshot.
func (x *Index) Build(ctx context.Context, start index.Start) (index.Build, error) {
	b := &build{x: x, sid: rand.Text(), settings: start.Settings.Default(), hidden: make(map[string]bool), put: make(map[string]map[int]bool)}
	if err := b.settings.Check(); err != nil {
		return nil, err
	}
	if start.Base == "" {
		return b, nil
	}
	var err error
	if b.base, err = x.snapshot(ctx, start.Base); err != nil {
		return nil, err
	}
	was := b.base.Settings
	if analysis.Key(was.Language) != analysis.Key(b.settings.Language) || was.Weights != b.settings.Weights {
		return nil, fault.New(fault.Conflict, "the snapshot %.100q was built with another language or other weights", start.Base).Hint("build from nothing")
	}
	b.dimension, b.bytes = b.base.Dimension, b.base.Bytes
	return b, nil
}

// Put adds passages: all of them or, when one of them is wrong, none.
func (b *build) Put(ctx context.Context, passages []index.Passage) error {
	documents, dimension, err := b.translate(passages)
	if err != nil || len(passages) == 0 {
		return err
	}
	if !b.defined || dimension != b.dimension {
		if err := b.x.service.define(ctx, passageDefinition(b.x.passages, b.settings, dimension)); err != nil {
			return err
		}
		b.defined, b.dimension = true, dimension
	}
	if err := b.permit(ctx, documents); err != nil {
		return err
	}
	if err := send(ctx, b.x.service, b.x.passages, documents); err != nil {
		return err
	}
	for i := range passages {
		p := &passages[i]
		if b.put[p.Document] == nil {
			b.put[p.Document] = make(map[int]bool)
		}
		b.put[p.Document][p.Ordinal] = true
		b.hidden[documents[i].DocumentKey] = true
		b.bytes += int64(len(p.Text) + len(p.Title) + len(p.Heading) + len(p.Context) + 4*len(p.Vector))
	}
	return nil
}

// translate checks passages and makes documents of them.
func (b *build) translate(passages []index.Passage) ([]document, int, error) {
	if b.over {
		return nil, 0, fault.New(fault.Conflict, "the build is over")
	}
	documents, dimension := make([]document, len(passages)), b.dimension
	seen := make(map[string]bool, len(passages))
	for i := range passages {
		p := &passages[i]
		if err := p.Check(); err != nil {
			return nil, 0, err
		}
		if n := len(p.Vector); n > 0 && dimension > 0 && n != dimension {
			return nil, 0, fault.New(fault.Invalid, "the vector of passage %.100q has %d numbers, others have %d", p.ID, n, dimension)
		}
		dimension = max(dimension, len(p.Vector))
		if seen[p.ID] || b.put[p.Document][p.Ordinal] {
			return nil, 0, fault.New(fault.Invalid, "the passage %.100q is put twice", p.ID)
		}
		seen[p.ID] = true
		var err error
		if documents[i], err = fromPassage(p, b.sid); err != nil {
			return nil, 0, err
		}
	}
	return documents, dimension, nil
}

// permit writes into documents who may read them.
func (b *build) permit(ctx context.Context, documents []document) error {
	var names []string
	for i := range documents {
		names = append(names, documents[i].Document)
	}
	now := make(map[string]access)
	for part := range slices.Chunk(slices.Compact(slices.Sorted(slices.Values(names))), keysAtOnce) {
		some, err := b.x.accessOf(ctx, part)
		if err != nil {
			return err
		}
		for name, a := range some {
			now[name] = a
		}
	}
	for i := range documents {
		a := now[documents[i].Document]
		documents[i].Readers, documents[i].Withdrawn, documents[i].Stamp = append([]string{}, a.Readers...), a.Withdrawn, a.stamp
	}
	return nil
}

// Delete takes documents out, those that were put before included.
func (b *build) Delete(ctx context.Context, documents []string) error {
	if b.over {
		return fault.New(fault.Conflict, "the build is over")
	}
	var gone []change
	for _, d := range documents {
		b.hidden[hashed(d)] = true
		for ordinal := range b.put[d] {
			gone = append(gone, change{Action: "delete", Key: passageKey(b.sid, d, ordinal)})
		}
		delete(b.put, d)
	}
	return send(ctx, b.x.service, b.x.passages, gone)
}

// Commit takes over what the base has and the build has not changed, waits
// until queries see all of it, and then writes the snapshot down.
func (b *build) Commit(ctx context.Context, name string) (index.Snapshot, error) {
	if b.over {
		return index.Snapshot{}, fault.New(fault.Conflict, "the build is over")
	}
	if err := index.CheckName(name); err != nil {
		return index.Snapshot{}, err
	}
	s := snapshot{SID: b.sid, Snapshot: index.Snapshot{Name: name, Made: time.Now().UTC().Truncate(time.Microsecond), Settings: b.settings, Dimension: b.dimension, Bytes: b.bytes}}
	err := b.commit(ctx, &s)
	if err != nil {
		_ = b.Abort()
		return index.Snapshot{}, err
	}
	b.over = true
	return s.Snapshot, nil
}

func (b *build) commit(ctx context.Context, s *snapshot) error {
	switch _, err := b.x.snapshot(ctx, s.Name); {
	case err == nil:
		return fault.New(fault.Conflict, "the index has a snapshot %.100q already", s.Name)
	case !fault.Is(err, fault.NotFound):
		return err
	}
	if b.base != nil {
		s.Base = b.base.Name
		if err := b.inherit(ctx, s); err != nil {
			return err
		}
	}
	for _, ordinals := range b.put {
		s.Passages += len(ordinals)
		s.Documents++
	}
	if b.base != nil || b.defined {
		if err := b.x.await(ctx, b.x.passages, "snapshots/any(s: s eq "+quote(b.sid)+")", s.Passages); err != nil {
			return err
		}
	}
	if err := b.agree(ctx); err != nil {
		return err
	}
	body, err := json.Marshal(s)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "a snapshot cannot be written as JSON")
	}
	r := record{"mergeOrUpload", "s" + hashed(s.Name), snapshotKind, b.sid, string(body)}
	if err := send(ctx, b.x.service, b.x.control, []record{r}); err != nil {
		return err
	}
	return b.x.await(ctx, b.x.control, "stamp eq "+quote(b.sid), 1)
}

// inherit adds the snapshot to the passages of the base whose documents the
// build did not touch.
func (b *build) inherit(ctx context.Context, s *snapshot) error {
	documents := make(map[string]bool)
	err := every(ctx, b.x.service, b.x.passages, "snapshots/any(s: s eq "+quote(b.base.SID)+")", "key,documentKey,snapshots",
		func(d document) string { return d.Key }, func(found []document) error {
			var changes []change
			for _, d := range found {
				if b.hidden[d.DocumentKey] {
					continue
				}
				documents[d.DocumentKey] = true
				s.Passages++
				if !slices.Contains(d.Snapshots, b.sid) {
					all := append(d.Snapshots, b.sid)
					changes = append(changes, change{Action: "merge", Key: d.Key, Snapshots: &all})
				}
			}
			return send(ctx, b.x.service, b.x.passages, changes)
		})
	s.Documents += len(documents)
	return err
}

// agree marks the passages that this build put anew where access was changed
// after they were put.
func (b *build) agree(ctx context.Context) error {
	names := make([]string, 0, len(b.put))
	for name := range b.put {
		names = append(names, name)
	}
	slices.Sort(names)
	for part := range slices.Chunk(names, keysAtOnce) {
		now, err := b.x.accessOf(ctx, part)
		if err != nil || len(now) == 0 {
			return err
		}
		if err := b.x.mark(ctx, now); err != nil {
			return err
		}
	}
	return nil
}

// Abort forgets the build.
func (b *build) Abort() error {
	if b.over {
		return nil
	}
	b.over = true
	if !b.defined && b.base == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), b.x.visible)
	defer cancel()
	return b.x.forget(ctx, b.sid)
}

// forget takes a snapshot from the passages that are in it, and deletes those
// that are in no other.
func (x *Index) forget(ctx context.Context, sid string) error {
	return every(ctx, x.service, x.passages, "snapshots/any(s: s eq "+quote(sid)+")", "key,snapshots",
		func(d document) string { return d.Key }, func(found []document) error {
			changes := make([]change, len(found))
			for i, d := range found {
				left := slices.DeleteFunc(d.Snapshots, func(s string) bool { return s == sid })
				changes[i] = change{Action: "merge", Key: d.Key, Snapshots: &left}
				if len(left) == 0 {
					changes[i] = change{Action: "delete", Key: d.Key}
				}
			}
			return send(ctx, x.service, x.passages, changes)
		})
}

// snapshot finds a snapshot by name.
func (x *Index) snapshot(ctx context.Context, name string) (*snapshot, error) {
	records, _, err := ask[record](ctx, x.service, x.control, question{Search: "*", Filter: "key eq " + quote("s"+hashed(name)), Select: "key,kind,stamp,body"}, 1)
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return nil, fault.New(fault.NotFound, "the index has no snapshot %.100q", name)
	}
	return readSnapshot(records[0])
}

func readSnapshot(r record) (*snapshot, error) {
	s := &snapshot{}
	if err := json.Unmarshal([]byte(r.Body), s); err != nil {
		return nil, fault.New(fault.Corrupt, "Azure AI Search has a record of a snapshot that cannot be read")
	}
	return s, nil
}

// Snapshots lists what was committed, the oldest first.
func (x *Index) Snapshots(ctx context.Context) ([]index.Snapshot, error) {
	var all []index.Snapshot
	err := every(ctx, x.service, x.control, "kind eq "+quote(snapshotKind), "key,kind,stamp,body", func(r record) string { return r.Key }, func(found []record) error {
		for _, r := range found {
			s, err := readSnapshot(r)
			if err != nil {
				return err
			}
			all = append(all, s.Snapshot)
		}
		return nil
	})
	slices.SortStableFunc(all, func(a, b index.Snapshot) int { return a.Made.Compare(b.Made) })
	return all, err
}

// Drop forgets a snapshot, and the passages that are in no other.
func (x *Index) Drop(ctx context.Context, name string) error {
	s, err := x.snapshot(ctx, name)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	key := "s" + hashed(name)
	if err := send(ctx, x.service, x.control, []change{{Action: "delete", Key: key}}); err != nil {
		return err
	}
	if err := x.await(ctx, x.control, "key eq "+quote(key), 0); err != nil {
		return err
	}
	return x.forget(ctx, s.SID)
}
