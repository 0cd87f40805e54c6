package embedded

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/store/index/analysis"
)

// The names of files.
const (
	manifestPrefix = "snapshot-"
	segmentSuffix  = ".segment"
	deadSuffix     = ".dead"
)

// manifestFile is the file of a snapshot: its name may have any character, so
// the file's is its hash.
func manifestFile(name string) string {
	sum := sha256.Sum256([]byte(name))
	return manifestPrefix + hex.EncodeToString(sum[:16])
}

// newFile is a name that no other file has.
func newFile(suffix string) string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:]) + suffix
}

// manifest is the file of a snapshot: a checksum in hex, a new line, and this
// as JSON.
type manifest struct {
	Snapshot  index.Snapshot
	Sequence  int64 // rises from commit to commit
	Revision  int   // of the analyzers
	Parts     []partFiles
	Analyzers map[string]int // passages by analyzer
	Units     uint64         // the length of all passages
}

// partFiles are the files of a part: a segment, and what is taken out of it.
type partFiles struct {
	Segment string
	Dead    string `json:",omitempty"`
}

func (m manifest) files() (all []string) {
	for _, p := range m.Parts {
		all = append(all, p.Segment)
		if p.Dead != "" {
			all = append(all, p.Dead)
		}
	}
	return all
}

func (m manifest) encode() ([]byte, error) {
	body, err := json.Marshal(m)
	return append(fmt.Appendf(nil, "%08x\n", checksum(body)), body...), err
}

func readManifest(path string) (m manifest, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return m, corrupt(err, path)
	}
	sum, body, _ := bytes.Cut(data, []byte("\n"))
	if string(sum) != fmt.Sprintf("%08x", checksum(body)) {
		return m, corrupt(errors.New("the checksum is wrong"), path)
	}
	return m, corrupt(json.Unmarshal(body, &m), path)
}

// part is a segment as a snapshot has it.
type part struct {
	segment *segment
	dead    bitmap         // passages that are taken out; nil: none
	missing map[string]int // how many of them have a term, by key
	file    string         // of what is taken out
}

// live is how many passages are left.
func (p *part) live() int { return p.segment.n - p.dead.count() }

func (p *part) has(ordinal uint32) bool { return p.dead == nil || !p.dead.has(ordinal) }

// snapshot is one that was committed. Its segments are opened when it is first
// asked.
type snapshot struct {
	ix       *Index
	manifest manifest
	users    int // queries and builds; guarded by Index.mu
	dropped  bool

	mu    sync.Mutex
	parts []part // nil until it was opened
}

// acquire finds a snapshot and holds it until release.
func (ix *Index) acquire(name string) (*snapshot, error) {
	ix.mu.Lock()
	s := ix.snapshots[name]
	if ix.closed || s == nil {
		closed := ix.closed
		ix.mu.Unlock()
		if closed {
			return nil, errClosed()
		}
		return nil, fault.New(fault.NotFound, "the index has no snapshot %.100q", name)
	}
	s.users++
	ix.mu.Unlock()
	if err := s.open(); err != nil {
		s.release()
		return nil, err
	}
	return s, nil
}

func (s *snapshot) release() {
	s.ix.mu.Lock()
	defer s.ix.mu.Unlock()
	if s.users--; s.users == 0 && s.dropped {
		s.ix.free(s.manifest.files())
	}
}

// open opens the segments of a snapshot, if that was not done yet.
func (s *snapshot) open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parts != nil {
		return nil
	}
	if s.manifest.Revision != analysis.Revision {
		return fault.New(fault.Unsupported, "the snapshot %.100q was made by analyzers of revision %d, these are %d",
			s.manifest.Snapshot.Name, s.manifest.Revision, analysis.Revision).Hint("build a new snapshot from nothing")
	}
	parts := make([]part, len(s.manifest.Parts))
	for i, files := range s.manifest.Parts {
		segment, err := s.ix.segment(files.Segment)
		if err != nil {
			return err
		}
		parts[i] = part{segment: segment, file: files.Dead}
		if files.Dead != "" {
			if err := parts[i].readDead(s.ix.path(files.Dead)); err != nil {
				return err
			}
		}
	}
	s.parts = parts
	return nil
}

// segment is an open segment, whose file somebody holds.
func (ix *Index) segment(file string) (*segment, error) {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	if ix.closed {
		return nil, errClosed()
	}
	if s := ix.segments[file]; s != nil {
		return s, nil
	}
	s, err := openSegment(ix.path(file), file, ix.access.number)
	if err == nil {
		ix.segments[file] = s
	}
	return s, err
}

// The file of what is taken out of a segment: a checksum, how many passages
// the segment has, their bitmap, and the terms that are missing.

// appendDead appends the file.
func (p *part) appendDead(b []byte) []byte {
	body := binary.AppendUvarint(nil, uint64(p.segment.n))
	for _, word := range p.dead {
		body = binary.LittleEndian.AppendUint64(body, word)
	}
	body = binary.AppendUvarint(body, uint64(len(p.missing)))
	for _, key := range slices.Sorted(maps.Keys(p.missing)) {
		body = binary.AppendUvarint(appendString(body, key), uint64(p.missing[key]))
	}
	return append(binary.LittleEndian.AppendUint64(b, uint64(checksum(body))), body...)
}

func (p *part) readDead(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return corrupt(err, path)
	}
	r := reader{b: data}
	if sum := r.uint64(); sum != uint64(checksum(r.b)) {
		return corrupt(errors.New("the checksum is wrong"), path)
	}
	if r.integer() != p.segment.n {
		return corrupt(errDamaged, path)
	}
	p.dead = newBitmap(p.segment.n)
	for i := range p.dead {
		p.dead[i] = r.uint64()
	}
	p.missing = make(map[string]int)
	for range r.count() {
		key := r.string()
		p.missing[key] = r.integer()
	}
	return corrupt(r.done(), path)
}

// documentsOf counts the documents of parts.
func documentsOf(parts []part) int {
	var seen bitmap
	for i := range parts {
		s := parts[i].segment
		for o, local := range s.locals {
			if !parts[i].has(uint32(o)) {
				continue
			}
			d := s.documents[local]
			if need := int(d/64) + 1; need > len(seen) {
				seen = slices.Grow(seen, need-len(seen))[:need]
			}
			seen.set(d)
		}
	}
	return seen.count()
}
