package embedded

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/leat-ai/leat/base/fault"
)

// The log of access is a file of records, each with the length of its body,
// the body's checksum and a checksum of these two. A record is part of the log
// once it is synced. What follows the last whole record can only be one whose
// writing was cut off: less than a head, a good head with too short a body, or
// zeros. It is cut away. Anything else is damage, and the index does not
// open: a withdrawal that is passed over would show what nobody may read.

const (
	accessMagic  = "LEATACC1"
	recordHead   = 12
	maxRecord    = 1 << 30
	accessFile   = "access.log"
	compactAfter = 1 << 20 // bytes above which a log is written anew when it is twice as long as it needs to be
)

// accessLog appends to the file. It is safe for many goroutines.
type accessLog struct {
	mu     sync.Mutex
	file   *os.File
	broken error // the first failure: what is in the file is not known then
}

// openAccess reads the log of a folder into a table.
func openAccess(folder string) (*access, error) {
	path := filepath.Join(folder, accessFile)
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if err := ioFault(writeWhole(path, []byte(accessMagic)), "the log of access cannot be written"); err != nil {
			return nil, err
		}
		data = []byte(accessMagic)
	case err != nil:
		return nil, corrupt(err, path)
	}
	a := newAccess()
	whole, err := replay(data, a.apply)
	if err != nil {
		return nil, corrupt(err, path)
	}
	if fresh := a.dump(); whole > compactAfter && len(fresh) < whole/2 {
		if err := replaceFile(path, fresh); err != nil {
			return nil, ioFault(err, "the log of access cannot be written anew")
		}
		whole = len(fresh)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0o600)
	if err == nil {
		err = errors.Join(f.Truncate(int64(whole)), f.Sync())
	}
	if err == nil {
		_, err = f.Seek(int64(whole), io.SeekStart)
	}
	if err != nil {
		return nil, ioFault(err, "the log of access cannot be opened")
	}
	a.log = &accessLog{file: f}
	return a, nil
}

// replay applies the records of a log and says how many bytes of it are whole.
func replay(data []byte, apply func(change)) (whole int, err error) {
	if len(data) < len(accessMagic) || string(data[:len(accessMagic)]) != accessMagic {
		return 0, errDamaged
	}
	at := len(accessMagic)
	for at < len(data) {
		rest := data[at:]
		if len(rest) < recordHead || allZero(rest) {
			return at, nil
		}
		size, sum := binary.LittleEndian.Uint32(rest), binary.LittleEndian.Uint32(rest[4:])
		if checksum(rest[:8]) != binary.LittleEndian.Uint32(rest[8:]) || size > maxRecord {
			return 0, errors.New("the checksum is wrong")
		}
		if len(rest)-recordHead < int(size) {
			return at, nil
		}
		body := rest[recordHead : recordHead+int(size)]
		if checksum(body) != sum {
			return 0, errors.New("the checksum is wrong")
		}
		c, err := parseChange(body)
		if err != nil {
			return 0, err
		}
		apply(c)
		at += recordHead + int(size)
	}
	return at, nil
}

func allZero(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return c != 0 })
}

// append writes a record, and applies it once it is durable.
func (l *accessLog) append(c change, apply func(change)) error {
	record := appendRecord(nil, c)
	if len(record) > maxRecord {
		return fault.New(fault.TooLarge, "a change of access is longer than %d bytes", maxRecord)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return fault.New(fault.Unavailable, "the log of access failed before").Because(l.broken).Hint("open the index again")
	}
	_, err := l.file.Write(record)
	if err = errors.Join(err, l.file.Sync()); err != nil {
		l.broken = err
		return ioFault(err, "the log of access cannot be written")
	}
	apply(c)
	return nil
}

func (l *accessLog) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if errors.Is(l.broken, os.ErrClosed) {
		return nil
	}
	l.broken = os.ErrClosed
	return l.file.Close()
}

func appendRecord(b []byte, c change) []byte {
	body := []byte{byte(c.verb)}
	body = binary.AppendUvarint(body, uint64(len(c.documents)))
	for i, d := range c.documents {
		body = appendString(body, d)
		if c.verb != grant {
			continue
		}
		body = binary.AppendUvarint(body, uint64(len(c.readers[i])))
		for _, mark := range c.readers[i] {
			body = appendString(body, mark)
		}
	}
	head := binary.LittleEndian.AppendUint32(nil, uint32(len(body)))
	head = binary.LittleEndian.AppendUint32(head, checksum(body))
	head = binary.LittleEndian.AppendUint32(head, checksum(head))
	return append(append(b, head...), body...)
}

func parseChange(body []byte) (c change, err error) {
	r := reader{b: body}
	if v := r.take(1); v != nil {
		c.verb = verb(v[0])
	}
	if c.verb < grant || c.verb > restore {
		return c, errDamaged
	}
	for range r.count() {
		c.documents = append(c.documents, r.string())
		if c.verb == grant {
			var readers []string
			for range r.count() {
				readers = append(readers, r.string())
			}
			c.readers = append(c.readers, readers)
		}
		if r.err != nil {
			break
		}
	}
	return c, r.done()
}

// dump is the shortest log of what a table says.
func (a *access) dump() []byte {
	granted, gone := change{verb: grant}, change{verb: withdraw}
	b := []byte(accessMagic)
	for n, name := range a.names {
		if set := a.sets[n]; set != 0 {
			var readers []string
			for _, m := range a.members[set] {
				readers = append(readers, a.markNames[m])
			}
			granted.documents, granted.readers = append(granted.documents, name), append(granted.readers, readers)
		}
		if a.withdrawn[uint32(n)] {
			gone.documents = append(gone.documents, name)
		}
		if len(granted.documents) == 1000 {
			b = appendRecord(b, granted)
			granted = change{verb: grant}
		}
	}
	for _, c := range []change{granted, gone} {
		if len(c.documents) > 0 {
			b = appendRecord(b, c)
		}
	}
	return b
}

// replaceFile puts a file in the place of another, at once and durably.
func replaceFile(path string, data []byte) error {
	temp := path + tempSuffix
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(temp, path)
	}
	return errors.Join(err, syncDir(filepath.Dir(path)))
}
