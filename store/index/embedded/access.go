package embedded

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/index"
)

// access says who may read what, for all snapshots at once. Documents, marks
// of readers and sets of marks have numbers here, so that the question is one
// of small integers; the names are held once.
type access struct {
	log *accessLog

	mu        sync.RWMutex
	epoch     uint64            // changes with every change
	numbers   map[string]uint32 // of documents
	names     []string
	sets      []uint32 // by document, the set of its readers; 0: nobody
	withdrawn map[uint32]bool
	marks     map[string]uint32
	markNames []string
	members   [][]uint32        // by set, its marks
	setOf     map[string]uint32 // by the marks of a set, as bytes
}

// change is one record of the log.
type change struct {
	verb      verb
	documents []string
	readers   [][]string // of each document, for grant
}

type verb byte

const (
	grant    verb = 1
	withdraw verb = 2
	restore  verb = 3
)

func newAccess() *access {
	return &access{numbers: make(map[string]uint32), withdrawn: make(map[uint32]bool), marks: make(map[string]uint32),
		members: [][]uint32{nil}, setOf: map[string]uint32{"": 0}}
}

// number is a document's number.
func (a *access) number(document string) uint32 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.numberLocked(document)
}

func (a *access) numberLocked(document string) uint32 {
	n, ok := a.numbers[document]
	if !ok {
		n = uint32(len(a.names))
		a.numbers[document] = n
		a.names = append(a.names, document)
		a.sets = append(a.sets, 0)
	}
	return n
}

// known is a document's number, if it has one.
func (a *access) known(document string) (uint32, bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	n, ok := a.numbers[document]
	return n, ok
}

// name is the inverse of number.
func (a *access) name(number uint32) string {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.names[number]
}

// apply changes the table.
func (a *access) apply(c change) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.epoch++
	for i, document := range c.documents {
		n := a.numberLocked(document)
		switch c.verb {
		case grant:
			a.sets[n] = a.setLocked(c.readers[i])
		case withdraw:
			a.withdrawn[n] = true
		case restore:
			delete(a.withdrawn, n)
		}
	}
}

// setLocked is the number of a set of readers.
func (a *access) setLocked(readers []string) uint32 {
	marks := make([]uint32, 0, len(readers))
	for _, mark := range readers {
		m, ok := a.marks[mark]
		if !ok {
			m = uint32(len(a.markNames))
			a.marks[mark] = m
			a.markNames = append(a.markNames, mark)
		}
		marks = append(marks, m)
	}
	slices.Sort(marks)
	marks = slices.Compact(marks)
	var key []byte
	for _, m := range marks {
		key = binary.LittleEndian.AppendUint32(key, m)
	}
	set, ok := a.setOf[string(key)]
	if !ok {
		set = uint32(len(a.members))
		a.setOf[string(key)] = set
		a.members = append(a.members, marks)
	}
	return set
}

// may tells whether a reader may read a document, given by number.
func (a *access) may(who index.Reader, number uint32) bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if a.withdrawn[number] {
		return false
	}
	if who.All() {
		return true
	}
	return slices.ContainsFunc(a.members[a.sets[number]], func(m uint32) bool {
		_, found := slices.BinarySearch(who.Marks(), a.markNames[m])
		return found
	})
}

// readable lists for documents, given by number, whether a reader may read
// them, and says as of which epoch.
func (a *access) readable(who index.Reader, documents []uint32) (allowed []bool, epoch uint64) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	allowed = make([]bool, len(documents))
	if who.All() {
		for i, d := range documents {
			allowed[i] = len(a.withdrawn) == 0 || !a.withdrawn[d]
		}
		return allowed, a.epoch
	}
	has := make([]bool, len(a.markNames))
	for _, mark := range who.Marks() {
		if m, ok := a.marks[mark]; ok {
			has[m] = true
		}
	}
	sets := make([]uint8, len(a.members)) // 0: not looked at yet, 1: no, 2: yes
	for i, d := range documents {
		set := a.sets[d]
		if sets[set] == 0 {
			sets[set] = 1
			if slices.ContainsFunc(a.members[set], func(m uint32) bool { return has[m] }) {
				sets[set] = 2
			}
		}
		allowed[i] = sets[set] == 2 && (len(a.withdrawn) == 0 || !a.withdrawn[d])
	}
	return allowed, a.epoch
}

// now is the epoch.
func (a *access) now() uint64 {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.epoch
}

// Grant sets the readers of documents.
func (ix *Index) Grant(ctx context.Context, all []index.Access) error {
	c := change{verb: grant}
	for _, a := range all {
		if err := a.Check(); err != nil {
			return err
		}
		c.documents = append(c.documents, a.Document)
		c.readers = append(c.readers, a.Readers)
	}
	return ix.change(ctx, c)
}

// Withdraw takes documents away from every reader.
func (ix *Index) Withdraw(ctx context.Context, documents []string) error {
	return ix.change(ctx, change{verb: withdraw, documents: documents})
}

// Restore gives withdrawn documents back to their readers.
func (ix *Index) Restore(ctx context.Context, documents []string) error {
	return ix.change(ctx, change{verb: restore, documents: documents})
}

// change writes a change down and then applies it. Changes of several callers
// are applied in the order in which they are written.
func (ix *Index) change(ctx context.Context, c change) error {
	for _, d := range c.documents {
		if err := (index.Access{Document: d}).Check(); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil || len(c.documents) == 0 {
		return err
	}
	if ix.isClosed() {
		return errClosed()
	}
	return ix.access.log.append(c, ix.access.apply)
}

// Readable tells for each document whether who may read it now.
func (ix *Index) Readable(ctx context.Context, who index.Reader, documents []string) ([]bool, error) {
	if ix.isClosed() {
		return nil, errClosed()
	}
	may := make([]bool, len(documents))
	for i, d := range documents {
		if n, ok := ix.access.known(d); ok {
			may[i] = ix.access.may(who, n)
		}
	}
	return may, ctx.Err()
}

func errClosed() error { return fault.New(fault.Unavailable, "the index is closed") }
