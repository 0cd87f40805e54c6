package embedded

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/store/index/vector"
)

// segment is an immutable file of passages, in the order of their ids; the
// place of a passage is its ordinal. In memory are nine bytes a passage, four a
// document and an entry for every block; the rest is read when it is needed,
// and every read is held against a checksum.
type segment struct {
	file *os.File
	name string
	path string
	size int64

	n         int      // passages
	lengths   []uint32 // of passages, in units
	locals    []uint32 // the documents of passages, as places in documents
	analyzers []uint8  // of passages, as places in names
	names     []string
	documents []uint32 // numbers of documents, by the table of access
	stored    []storedEntry
	terms     []termsEntry
	fields    map[string]region
	dimension int
	vectors   *vector.Set // nil without vectors
}

// termsEntry is what the contents say of a block of the dictionary.
type termsEntry struct {
	region
	first string
}

// termEntry is a term of a segment.
type termEntry struct {
	region
	count int // postings
}

// openSegment opens a file. number numbers documents.
func openSegment(path, name string, number func(document string) uint32) (*segment, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, corrupt(err, path)
	}
	s := &segment{file: f, name: name, path: path}
	if err := s.load(number); err != nil {
		return nil, corrupt(errors.Join(err, f.Close()), path)
	}
	return s, nil
}

func (s *segment) load(number func(string) uint32) error {
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	s.size = info.Size()
	if s.size < int64(len(magic)+trailerSize) {
		return errDamaged
	}
	head, trailer := make([]byte, len(magic)), make([]byte, trailerSize)
	if _, err := s.file.ReadAt(head, 0); err != nil {
		return err
	}
	if _, err := s.file.ReadAt(trailer, s.size-int64(trailerSize)); err != nil {
		return err
	}
	r := reader{b: trailer}
	at, size, sum := r.uint64(), r.uint32(), r.uint32()
	if string(head) != magic || string(r.b) != magic || at > math.MaxInt64 || int64(size) > s.size || int64(at)+int64(size)+int64(trailerSize) != s.size {
		return errDamaged
	}
	contents, err := readRegion(s.file, region{int64(at), int(size), sum}, s.size, nil)
	if err != nil {
		return err
	}
	return s.contents(contents, number)
}

// contents reads what a segment says of itself.
func (s *segment) contents(b []byte, number func(string) uint32) error {
	r := reader{b: b}
	s.n = r.integer()
	for range r.count() {
		s.names = append(s.names, r.string())
	}
	tables, documents, names := r.region(), r.integer(), r.region()
	if r.err != nil || int64(s.n)*9 != int64(tables.size) || documents > names.size {
		return errDamaged
	}
	if err := s.loadTables(tables); err != nil {
		return err
	}
	if err := s.loadDocuments(names, documents, number); err != nil {
		return err
	}
	for range r.count() {
		s.stored = append(s.stored, storedEntry{r.region(), uint32(r.integer()), r.string()})
	}
	for range r.count() {
		s.terms = append(s.terms, termsEntry{r.region(), r.string()})
	}
	s.fields = make(map[string]region)
	for range r.count() {
		name := r.string()
		s.fields[name] = r.region()
	}
	dimension, from, size := r.integer(), r.uvarint(), r.uvarint()
	if err := r.done(); err != nil {
		return err
	}
	for i, e := range s.stored {
		if i == 0 && e.first != 0 || i > 0 && e.first <= s.stored[i-1].first || int(e.first) >= s.n {
			return errDamaged
		}
	}
	if len(s.stored) == 0 {
		return errDamaged
	}
	return s.loadVectors(dimension, from, size)
}

func (s *segment) loadTables(tables region) error {
	b, err := readRegion(s.file, tables, s.size, nil)
	if err != nil {
		return err
	}
	s.lengths, s.locals = make([]uint32, s.n), make([]uint32, s.n)
	for i := range s.n {
		s.lengths[i] = binary.LittleEndian.Uint32(b[4*i:])
		s.locals[i] = binary.LittleEndian.Uint32(b[4*(s.n+i):])
	}
	s.analyzers = b[8*s.n:]
	for _, a := range s.analyzers {
		if int(a) >= len(s.names) {
			return errDamaged
		}
	}
	return nil
}

func (s *segment) loadDocuments(names region, count int, number func(string) uint32) error {
	b, err := readRegion(s.file, names, s.size, nil)
	if err != nil {
		return err
	}
	r := reader{b: b}
	s.documents = make([]uint32, count)
	for i := range s.documents {
		if name := r.string(); r.err == nil {
			s.documents[i] = number(name)
		}
	}
	for _, local := range s.locals {
		if int(local) >= count {
			return errDamaged
		}
	}
	return r.done()
}

func (s *segment) loadVectors(dimension int, from, size uint64) error {
	if dimension == 0 {
		return nil
	}
	if from > uint64(s.size) || size > uint64(s.size)-from {
		return errDamaged
	}
	set, err := vector.Open(io.NewSectionReader(s.file, int64(from), int64(size)), int64(size))
	if err != nil {
		return err
	}
	if set.Len() != s.n || set.Dim() != dimension {
		return errDamaged
	}
	s.vectors, s.dimension = set, dimension
	return nil
}

// term looks a term up. A term that is not there has no postings.
func (s *segment) term(key string) (termEntry, error) {
	at, found := slices.BinarySearchFunc(s.terms, key, func(e termsEntry, key string) int { return strings.Compare(e.first, key) })
	if !found {
		at--
	}
	if at < 0 {
		return termEntry{}, nil
	}
	b, err := readRegion(s.file, s.terms[at].region, s.size, nil)
	if err != nil {
		return termEntry{}, corrupt(err, s.path)
	}
	r := reader{b: b}
	place := r.uvarint()
	var name []byte
	for len(r.b) > 0 {
		shared := r.integer()
		if shared > len(name) {
			r.fail()
			break
		}
		name = append(name[:shared], r.take(r.count())...)
		e := termEntry{count: r.integer()}
		e.size, e.sum = r.integer(), r.uint32()
		e.at = int64(place)
		place += uint64(e.size)
		if r.err == nil && string(name) == key {
			if e.count < 1 || e.count > s.n || place > uint64(s.size) {
				break
			}
			return e, nil
		}
	}
	if r.err != nil {
		return termEntry{}, corrupt(r.err, s.path)
	}
	return termEntry{}, nil
}

// block reads and unpacks a block of passages.
func (s *segment) block(at int, pack *packer) ([]index.Passage, error) {
	e := s.stored[at]
	b, err := readRegion(s.file, e.region, s.size, nil)
	if err == nil {
		b, err = pack.unpack(b)
	}
	if err != nil {
		return nil, corrupt(err, s.path)
	}
	to := s.n
	if at+1 < len(s.stored) {
		to = int(s.stored[at+1].first)
	}
	r := reader{b: b}
	var passages []index.Passage
	for range to - int(e.first) {
		passages = append(passages, r.passage())
		if r.err != nil {
			break
		}
	}
	return passages, corrupt(r.done(), s.path)
}

// blockOf is the block that has an ordinal.
func (s *segment) blockOf(ordinal uint32) int {
	at, found := slices.BinarySearchFunc(s.stored, ordinal, func(e storedEntry, o uint32) int { return int(e.first) - int(o) })
	if !found {
		at--
	}
	return at
}

// passage reads one passage.
func (s *segment) passage(ordinal uint32, pack *packer) (index.Passage, error) {
	at := s.blockOf(ordinal)
	passages, err := s.block(at, pack)
	if err != nil {
		return index.Passage{}, err
	}
	return passages[ordinal-s.stored[at].first], nil
}

// find looks a passage up by its id; ok is false where it is not there.
func (s *segment) find(id string, pack *packer) (ordinal uint32, p index.Passage, ok bool, err error) {
	at, found := slices.BinarySearchFunc(s.stored, id, func(e storedEntry, id string) int { return strings.Compare(e.firstID, id) })
	if !found {
		at--
	}
	if at < 0 {
		return 0, p, false, nil
	}
	passages, err := s.block(at, pack)
	if err != nil {
		return 0, p, false, err
	}
	i, found := slices.BinarySearchFunc(passages, id, func(p index.Passage, id string) int { return strings.Compare(p.ID, id) })
	if !found {
		return 0, p, false, nil
	}
	return s.stored[at].first + uint32(i), passages[i], true, nil
}

// document is the number of a passage's document.
func (s *segment) document(ordinal uint32) uint32 { return s.documents[s.locals[ordinal]] }

// postings reads the list of a term.
func (s *segment) postings(e termEntry, bound bounder) (list, error) {
	b, err := readRegion(s.file, e.region, s.size, nil)
	if err != nil {
		return list{}, corrupt(err, s.path)
	}
	l, err := parseList(b, e.count, s.n, bound, nil)
	return l, corrupt(err, s.path)
}
