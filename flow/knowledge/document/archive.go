package document

import (
	"archive/zip"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strings"

	"github.com/leat-ai/leat/base/fault"
)

// archive is the ZIP file of an Office document, read within bounds: how many
// entries it lists, how much comes out of all of them together, and how far
// one may swell.
type archive struct {
	ctx     context.Context
	entries map[string]*zip.File
	left    int64 // bytes that may still come out
	most    int64
}

func (j *job) archive() (*archive, error) {
	if err := j.countEntries(); err != nil {
		return nil, err
	}
	// The directory is read entry by entry, whatever its end says of their
	// number: what may be read of it bounds them for good.
	body := &budget{r: j.src.Body, left: int64(j.limits.Entries)*128 + 1<<20}
	z, err := zip.NewReader(body, j.src.Size)
	if errors.Is(err, errBudget) {
		return nil, j.tooManyEntries()
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "the file is not a whole ZIP archive: it is cut off or damaged").
			Hint("fetch it again, or open and save it with the program that wrote it").Because(err)
	}
	if len(z.File) > j.limits.Entries {
		return nil, j.tooManyEntries()
	}
	body.left = -1
	a := &archive{ctx: j.ctx, entries: map[string]*zip.File{}, left: j.limits.Unpack, most: j.limits.Unpack}
	for _, f := range z.File {
		name := strings.ToLower(strings.TrimPrefix(strings.ReplaceAll(f.Name, `\`, "/"), "/"))
		if _, twice := a.entries[name]; !twice {
			a.entries[name] = f
		}
	}
	return a, nil
}

func (j *job) tooManyEntries() error {
	return fault.New(fault.TooLarge, "the archive has more than %d entries", j.limits.Entries)
}

// countEntries refuses an archive whose end says that it has too many entries,
// before anything is allocated for them. All ends that a reader could pick are
// looked at.
func (j *job) countEntries() error {
	const end, longest = 22, 22 + 20 + 56 + 1<<16
	tail := make([]byte, min(j.src.Size, longest))
	if _, err := j.src.Body.ReadAt(tail, j.src.Size-int64(len(tail))); err != nil && err != io.EOF {
		return fault.Wrap(err, fault.Unavailable, "the source cannot be read")
	}
	for i := 0; i+end <= len(tail); i++ {
		if tail[i] != 'P' || tail[i+1] != 'K' {
			continue
		}
		var entries uint64
		switch {
		case tail[i+2] == 5 && tail[i+3] == 6:
			entries = uint64(binary.LittleEndian.Uint16(tail[i+10:]))
		case tail[i+2] == 6 && tail[i+3] == 7:
			entries = j.entries64(int64(binary.LittleEndian.Uint64(tail[i+8:]))) //nolint:gosec // a negative offset reads nothing
		}
		if entries > uint64(j.limits.Entries) && entries != 0xffff { //nolint:gosec // a limit is positive
			return j.tooManyEntries()
		}
	}
	return nil
}

// entries64 is the count in the end record of a ZIP64 archive.
func (j *job) entries64(at int64) uint64 {
	record := make([]byte, 56)
	if at < 0 || at+56 > j.src.Size {
		return 0
	}
	if _, err := j.src.Body.ReadAt(record, at); err != nil && err != io.EOF {
		return 0
	}
	return binary.LittleEndian.Uint64(record[32:])
}

var errBudget = errors.New("more was read than may be")

// budget is a source of which only so many bytes may be read; below zero there
// is no bound.
type budget struct {
	r    io.ReaderAt
	left int64
}

func (b *budget) ReadAt(p []byte, at int64) (int, error) {
	if b.left >= 0 {
		if b.left -= int64(len(p)); b.left < 0 {
			b.left = 0
			return 0, errBudget
		}
	}
	return b.r.ReadAt(p, at)
}

func (a *archive) has(name string) bool { return a.entries[strings.ToLower(name)] != nil }

// A part that grows by more than this factor while it is unpacked is made to
// do harm; parts below harmless are not asked. Deflate reaches 1,032.
const (
	mostSwelling = 200
	harmless     = 8 << 20
)

// open opens a part. The error is Invalid where there is none.
func (a *archive) open(name string) (io.ReadCloser, error) {
	f := a.entries[strings.ToLower(strings.TrimPrefix(name, "/"))]
	if f == nil {
		return nil, fault.New(fault.Invalid, "the document lacks its part %s", shown(name)).Hint("open it in the program that wrote it and save it again")
	}
	if f.Flags&1 != 0 {
		return nil, fault.New(fault.Unsupported, "the document is encrypted").Hint("remove its password and give it again")
	}
	if f.UncompressedSize64 > uint64(a.left) { //nolint:gosec // never negative
		return nil, a.over(name)
	}
	r, err := f.Open()
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the part %s cannot be unpacked", shown(name))
	}
	return &unpacked{ReadCloser: r, a: a, name: name, packed: int64(f.CompressedSize64)}, nil //nolint:gosec // a wrong size only makes the bound wrong for a bomb
}

func (a *archive) over(name string) error {
	return fault.New(fault.TooLarge, "more than %d bytes come out of the archive", a.most).At("%s", shown(name)).
		Hint("split the document, or raise the limit")
}

func shown(name string) string { return oneLine(clean(name), 100) }

// unpacked counts what comes out of a part.
type unpacked struct {
	io.ReadCloser
	a      *archive
	name   string
	packed int64
	out    int64
}

func (u *unpacked) Read(p []byte) (int, error) {
	if err := u.a.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := u.ReadCloser.Read(p)
	u.out += int64(n)
	u.a.left -= int64(n)
	if u.a.left < 0 {
		u.a.left = 0
		return 0, u.a.over(u.name)
	}
	if u.out > harmless && u.out/mostSwelling > u.packed {
		return 0, fault.New(fault.TooLarge, "a part of the archive swells to more than %d times its size", mostSwelling).At("%s", shown(u.name)).
			Hint("files like this are made to exhaust memory: look where it comes from")
	}
	return n, err
}
