package embedded

import (
	"cmp"
	"context"
	"errors"
	"math/bits"
	"os"
	"slices"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/store/index/analysis"
)

// build makes a snapshot: the base's segments, of which documents are hidden,
// and segments of its own.
type build struct {
	ix       *Index
	base     *snapshot // nil: from nothing
	settings index.Settings
	counter  *counter
	buffer   *buffer
	made     []part          // segments of this build
	files    []string        // that this build holds
	hidden   map[uint32]bool // documents that the base has no more
	round    map[uint32]int  // how often a document was deleted
	put      map[putKey]bool
	vectors  int // their dimension; 0: not known yet
	over     bool
}

// putKey is a passage that was put, since its document was last deleted.
type putKey struct {
	document uint32
	round    int32
	ordinal  uint32
}

// Build begins a snapshot.
func (ix *Index) Build(ctx context.Context, start index.Start) (index.Build, error) {
	settings := start.Settings.Default()
	if err := errors.Join(settings.Check(), ctx.Err()); err != nil {
		return nil, err
	}
	b := &build{ix: ix, settings: settings, hidden: make(map[uint32]bool), round: make(map[uint32]int), put: make(map[putKey]bool)}
	if start.Base != "" {
		base, err := ix.acquire(start.Base)
		if err != nil {
			return nil, err
		}
		was := base.manifest.Snapshot.Settings
		if analysis.Key(was.Language) != analysis.Key(settings.Language) || unitsOf(was.Weights) != unitsOf(settings.Weights) {
			base.release()
			return nil, fault.New(fault.Conflict, "the snapshot %.100q was built with another language or other weights", start.Base).Hint("build from nothing")
		}
		b.base, b.vectors = base, base.manifest.Snapshot.Dimension
	} else if ix.isClosed() {
		return nil, errClosed()
	}
	b.counter = newCounter(settings)
	b.buffer = newBuffer(b.counter)
	return b, nil
}

func (b *build) check(ctx context.Context) error {
	if b.over {
		return fault.New(fault.Conflict, "the build is over")
	}
	if b.ix.isClosed() {
		return errClosed()
	}
	return ctx.Err()
}

// Put adds passages: all of them or, when one of them is wrong, none.
func (b *build) Put(ctx context.Context, passages []index.Passage) error {
	if err := b.check(ctx); err != nil {
		return err
	}
	keys := make([]putKey, len(passages))
	vectors := b.vectors
	for i := range passages {
		p := &passages[i]
		if err := p.Check(); err != nil {
			return err
		}
		if n := len(p.Vector); n > 0 && vectors > 0 && n != vectors {
			return fault.New(fault.Invalid, "the vector of passage %.100q has %d numbers, others have %d", p.ID, n, vectors)
		}
		vectors = max(vectors, len(p.Vector))
		keys[i] = b.key(p)
	}
	slices.SortFunc(keys, func(x, y putKey) int {
		return cmp.Or(cmp.Compare(x.document, y.document), cmp.Compare(x.ordinal, y.ordinal))
	})
	for i, key := range keys {
		if b.put[key] || i > 0 && keys[i-1] == key {
			return fault.New(fault.Invalid, "the passage %.100q is put twice", index.PassageID(b.ix.access.name(key.document), int(key.ordinal)))
		}
	}
	b.vectors = vectors
	for i := range passages {
		key := b.key(&passages[i])
		b.put[key] = true
		b.hidden[key.document] = true
		p := clonePassage(passages[i])
		if err := b.add(ctx, &p); err != nil {
			return err
		}
	}
	return nil
}

func (b *build) key(p *index.Passage) putKey {
	document := b.ix.access.number(p.Document)
	return putKey{document, int32(b.round[document]), uint32(p.Ordinal)}
}

// add takes one passage, and writes a segment where it is time.
func (b *build) add(ctx context.Context, p *index.Passage) error {
	if len(b.buffer.passages) >= b.ix.config.Segment || b.buffer.bytes >= b.ix.config.Memory {
		if err := b.flush(ctx); err != nil {
			return err
		}
	}
	b.buffer.add(p)
	return nil
}

// Delete takes documents out.
func (b *build) Delete(ctx context.Context, documents []string) error {
	if err := b.check(ctx); err != nil {
		return err
	}
	names, numbers := make(map[string]bool), make(map[uint32]bool)
	for _, d := range documents {
		n, ok := b.ix.access.known(d)
		if !ok {
			continue
		}
		b.hidden[n] = true
		b.round[n]++
		names[d], numbers[n] = true, true
	}
	b.buffer.remove(names)
	for i := range b.made {
		p := &b.made[i]
		p.dead = p.hide(numbers)
	}
	return nil
}

// hide is what is taken out of a part when documents go, too. It is p.dead
// itself where nothing changes.
func (p *part) hide(documents map[uint32]bool) bitmap {
	s := p.segment
	gone := make([]bool, len(s.documents))
	some := false
	for local, n := range s.documents {
		gone[local] = documents[n]
		some = some || gone[local]
	}
	if !some {
		return p.dead
	}
	dead := newBitmap(s.n)
	copy(dead, p.dead)
	for o, local := range s.locals {
		if gone[local] {
			dead.set(uint32(o))
		}
	}
	if dead.count() == p.dead.count() {
		return p.dead
	}
	return dead
}

// flush writes the buffer as a segment.
func (b *build) flush(ctx context.Context) error {
	full := b.buffer
	b.buffer = newBuffer(b.counter)
	if full.live() == 0 {
		return nil
	}
	file := newFile(segmentSuffix)
	b.hold(file)
	if err := writeSegment(ctx, full, b.ix.path(file), b.ix.pack); err != nil {
		return ioFault(err, "a segment of the index cannot be written")
	}
	s, err := b.ix.segment(file)
	if err != nil {
		return err
	}
	b.made = append(b.made, part{segment: s})
	return nil
}

// hold makes a file one that the build has.
func (b *build) hold(file string) {
	b.files = append(b.files, file)
	b.ix.mu.Lock()
	defer b.ix.mu.Unlock()
	b.ix.refs[file]++
}

func writeSegment(ctx context.Context, full *buffer, path string, pack *packer) (err error) {
	f, err := os.OpenFile(path+tempSuffix, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = full.write(ctx, f, pack)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(path+tempSuffix, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(path+tempSuffix))
	}
	return nil
}

// Abort forgets the build.
func (b *build) Abort() error {
	if b.over {
		return nil
	}
	b.over = true
	if b.base != nil {
		b.base.release()
	}
	b.ix.mu.Lock()
	defer b.ix.mu.Unlock()
	b.ix.free(b.files)
	b.buffer, b.made, b.put = nil, nil, nil
	return nil
}

// Commit makes the snapshot.
func (b *build) Commit(ctx context.Context, name string) (index.Snapshot, error) {
	if err := errors.Join(b.check(ctx), index.CheckName(name)); err != nil {
		return index.Snapshot{}, err
	}
	defer func() { _ = b.Abort() }() // its error is always nil
	if err := b.flush(ctx); err != nil {
		return index.Snapshot{}, err
	}
	parts, err := b.parts(ctx)
	if err != nil {
		return index.Snapshot{}, err
	}
	m := b.manifest(name, parts)
	if err := b.publish(ctx, &m); err != nil {
		return index.Snapshot{}, err
	}
	return m.Snapshot, nil
}

// parts are the parts of the snapshot: the base's, less what is hidden, and
// those of the build, merged where there are many small ones.
func (b *build) parts(ctx context.Context) ([]part, error) {
	var parts []part
	if b.base != nil {
		for _, p := range b.base.parts {
			dead := p.hide(b.hidden)
			if dead.count() == p.dead.count() {
				parts = append(parts, p)
			} else {
				parts = append(parts, part{segment: p.segment, dead: dead, missing: p.missing, file: p.file})
			}
		}
	}
	parts = append(parts, b.made...)
	parts = slices.DeleteFunc(parts, func(p part) bool { return p.live() == 0 })
	parts, err := b.compact(ctx, parts)
	if err != nil {
		return nil, err
	}
	for i := range parts {
		if err := b.bury(ctx, &parts[i]); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// tierFactor is how many segments of about one size there may be, and how much
// larger the next size is.
const tierFactor = 4

// compact merges segments of about one size when there are tierFactor of them,
// and writes those anew of which more than a third is taken out. A passage is
// written again a number of times that grows with the logarithm of all.
func (b *build) compact(ctx context.Context, parts []part) ([]part, error) {
	for {
		chosen := b.choose(parts)
		if len(chosen) == 0 {
			return parts, nil
		}
		b.made = nil
		for _, i := range chosen {
			if err := b.copyPart(ctx, &parts[i]); err != nil {
				return nil, err
			}
		}
		if err := b.flush(ctx); err != nil {
			return nil, err
		}
		for n, i := range chosen {
			parts = slices.Delete(parts, i-n, i-n+1)
		}
		parts = append(parts, b.made...)
		if len(chosen) > 1 && len(b.made) >= len(chosen) {
			return parts, nil // they do not fit into fewer, by Config.Memory
		}
	}
}

// choose lists parts to be merged into one, by rising place.
func (b *build) choose(parts []part) []int {
	tiers := make(map[int][]int)
	for i := range parts {
		live := parts[i].live()
		if 3*live < 2*parts[i].segment.n {
			return []int{i}
		}
		if live*tierFactor <= b.ix.config.Segment {
			tier := bits.Len(uint(live)) / 2
			if tiers[tier] = append(tiers[tier], i); len(tiers[tier]) == tierFactor {
				return tiers[tier]
			}
		}
	}
	return nil
}

// copyPart puts the passages of a part into the buffer.
func (b *build) copyPart(ctx context.Context, p *part) error {
	s := p.segment
	for at := range s.stored {
		passages, err := s.block(at, b.ix.pack)
		if err != nil {
			return err
		}
		for i := range passages {
			ordinal := s.stored[at].first + uint32(i)
			if !p.has(ordinal) {
				continue
			}
			if s.vectors != nil {
				if passages[i].Vector, err = s.vectors.Vector(int(ordinal)); err != nil {
					return corrupt(err, s.path)
				}
			}
			if err := b.add(ctx, &passages[i]); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// bury writes down what is taken out of a part, where that is not written yet:
// the passages, and how many of them had which term.
func (b *build) bury(ctx context.Context, p *part) error {
	before := bitmap(nil)
	if b.base != nil {
		for i := range b.base.parts {
			if q := &b.base.parts[i]; q.segment == p.segment {
				before = q.dead
			}
		}
	}
	if p.dead.count() == before.count() {
		return nil
	}
	missing := make(map[string]int, len(p.missing))
	for key, n := range p.missing {
		missing[key] = n
	}
	s := p.segment
	for at := range s.stored {
		first, to := s.stored[at].first, uint32(s.n)
		if at+1 < len(s.stored) {
			to = s.stored[at+1].first
		}
		if !p.dead.any(first, to-1) {
			continue
		}
		passages, err := s.block(at, b.ix.pack)
		if err != nil {
			return err
		}
		for i := range passages {
			if o := first + uint32(i); p.dead.has(o) && (before == nil || !before.has(o)) {
				b.countTerms(&passages[i], missing)
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	p.missing, p.file = missing, newFile(deadSuffix)
	b.hold(p.file)
	return ioFault(writeWhole(b.ix.path(p.file), p.appendDead(nil)), "a file of the index cannot be written")
}

// countTerms adds one to every term of a passage.
func (b *build) countTerms(p *index.Passage, into map[string]int) {
	analyzer := b.counter.analyzer(p)
	seen := make(map[string]bool)
	b.counter.each(p, func(term string, _ uint32) {
		if !seen[term] {
			seen[term] = true
			into[termKey(analyzer, term)]++
		}
	})
}

// manifest describes the snapshot.
func (b *build) manifest(name string, parts []part) manifest {
	m := manifest{Revision: analysis.Revision, Analyzers: make(map[string]int),
		Snapshot: index.Snapshot{Name: name, Made: time.Now().UTC(), Settings: b.settings, Documents: documentsOf(parts)}}
	if b.base != nil {
		m.Snapshot.Base = b.base.manifest.Snapshot.Name
	}
	for i := range parts {
		p := &parts[i]
		s := p.segment
		m.Parts = append(m.Parts, partFiles{s.name, p.file})
		m.Snapshot.Passages += p.live()
		m.Snapshot.Bytes += s.size
		m.Snapshot.Dimension = max(m.Snapshot.Dimension, s.dimension)
		for o := range s.n {
			if p.has(uint32(o)) {
				m.Units += uint64(s.lengths[o])
				m.Analyzers[s.names[s.analyzers[o]]]++
			}
		}
	}
	return m
}

// publish gives the snapshot its file, and makes it known.
func (b *build) publish(ctx context.Context, m *manifest) error {
	ix := b.ix
	ix.mu.Lock()
	defer ix.mu.Unlock()
	name := m.Snapshot.Name
	if ix.closed || ctx.Err() != nil {
		return cmp.Or(ctx.Err(), error(errClosed()))
	}
	if ix.snapshots[name] != nil {
		return fault.New(fault.Conflict, "the index has a snapshot %.100q already", name)
	}
	m.Sequence = ix.sequence + 1
	data, err := m.encode()
	if err == nil {
		err = syncDir(ix.config.Path) // the names of the segments
	}
	if err == nil {
		err = writeWhole(ix.path(manifestFile(name)), data)
	}
	if err != nil {
		return ioFault(err, "the snapshot cannot be written")
	}
	ix.register(*m)
	return nil
}
