package pdf

import (
	"bytes"
	"io"
	"strconv"

	"github.com/leat-ai/leat/base/fault"
)

// entry is the place of an object: an offset in the file, or, where stream is
// set, the object stream that holds it and its index there.
type entry struct {
	offset int64
	stream int32
}

// mostObjects bounds the numbers of objects.
const mostObjects = 1 << 20

// findHeader notes where the header stands, as some files begin with other
// bytes.
func (f *File) findHeader() {
	head := make([]byte, min(f.size, 1024))
	n, _ := f.r.ReadAt(head, 0) //nolint:errcheck // what is missing is not found
	if i := bytes.Index(head[:n], []byte("%PDF-")); i > 0 {
		f.start = int64(i)
	}
}

func (f *File) lexerAt(offset int64) *lexer {
	if offset < 0 || offset > f.size {
		offset = f.size
	}
	l := newLexer(f.ctx, io.NewSectionReader(f.r, offset, f.size-offset), true)
	l.at = offset
	return l
}

// readXref follows the chain of cross-reference sections from the end of the
// file (7.5.4, 7.5.8).
func (f *File) readXref() error {
	f.objects, f.trailer = nil, value{}
	const last = 2048
	tail := make([]byte, min(f.size, last))
	if _, err := f.r.ReadAt(tail, f.size-int64(len(tail))); err != nil && err != io.EOF {
		return fault.Wrap(err, fault.Unavailable, "the source cannot be read")
	}
	i := bytes.LastIndex(tail, []byte("startxref"))
	if i < 0 {
		return damaged("it has no end")
	}
	l := newLexer(f.ctx, bytes.NewReader(tail[i+len("startxref"):]), false)
	seen := map[int64]bool{}
	next := []int64{int64(l.value(0).int())}
	for len(next) > 0 {
		at := next[0]
		next = next[1:]
		const mostSections = 4096
		if seen[at] || len(seen) > mostSections {
			continue
		}
		seen[at] = true
		section, err := f.xrefSection(f.start + at)
		if err != nil {
			return err
		}
		if f.trailer.kind == kindNull {
			f.trailer = section
		}
		for _, key := range []string{"XRefStm", "Prev"} {
			if v := section.dict[key]; v.kind == kindNumber {
				next = append(next, int64(v.int()))
			}
		}
	}
	if f.trailer.dict["Root"].kind != kindRef {
		return damaged("nothing says where it begins")
	}
	return nil
}

// xrefSection reads one section and returns its trailer.
func (f *File) xrefSection(at int64) (value, error) {
	l := f.lexerAt(at)
	first := l.value(0)
	if first.kind == kindOperator && first.str == "xref" {
		return f.xrefTable(l)
	}
	if first.kind == kindNumber {
		return f.xrefStream(at)
	}
	return value{}, damaged("its table of objects is not where it should be")
}

func (f *File) xrefTable(l *lexer) (value, error) {
	for {
		first := l.value(0)
		if first.kind == kindOperator && first.str == "trailer" {
			v := l.value(0)
			if v.kind != kindDict {
				return value{}, damaged("its trailer is missing")
			}
			return v, nil
		}
		count := l.value(0)
		if first.kind != kindNumber || count.kind != kindNumber {
			return value{}, damaged("its table of objects is broken")
		}
		for i := range count.int() {
			l.values = 0
			offset, generation, used := l.value(0), l.value(0), l.value(0)
			if offset.kind != kindNumber || generation.kind != kindNumber || used.kind != kindOperator {
				return value{}, damaged("its table of objects is broken")
			}
			if used.str == "n" && offset.int() > 0 {
				f.place(first.int()+i, entry{offset: f.start + int64(offset.int())})
			}
		}
	}
}

// place notes where an object is; what was noted first holds, as the newest
// section is read first.
func (f *File) place(number int, e entry) {
	if number < 0 || number >= mostObjects {
		return
	}
	for number >= len(f.objects) {
		f.objects = append(f.objects, entry{})
	}
	if f.objects[number] == (entry{}) {
		f.objects[number] = e
	}
}

func (f *File) xrefStream(at int64) (value, error) {
	v, _, err := f.objectAt(at)
	if err != nil {
		return value{}, err
	}
	if v.data == 0 || !v.dict["Type"].isName("XRef") {
		return value{}, damaged("its table of objects is not where it should be")
	}
	var width [3]int
	for i := range width {
		if w := v.dict["W"]; i < len(w.array) {
			width[i] = w.array[i].int()
		}
		if width[i] < 0 || width[i] > 8 {
			return value{}, damaged("its table of objects is broken")
		}
	}
	r, err := f.decoded(v)
	if err != nil {
		return value{}, err
	}
	index := v.dict["Index"].array
	if len(index) < 2 {
		index = []value{{kind: kindNumber}, v.dict["Size"]}
	}
	row := make([]byte, width[0]+width[1]+width[2])
	if len(row) == 0 {
		return v, nil
	}
	for ; len(index) >= 2; index = index[2:] {
		for i := range index[1].int() {
			if _, err := io.ReadFull(r, row); err != nil {
				return v, f.ctx.Err()
			}
			f.xrefRow(index[0].int()+i, row, width)
		}
	}
	return v, nil
}

func (f *File) xrefRow(number int, row []byte, width [3]int) {
	kind := int64(1)
	if width[0] > 0 {
		kind = bigEndian(row[:width[0]])
	}
	second := bigEndian(row[width[0] : width[0]+width[1]])
	switch kind {
	case 1:
		f.place(number, entry{offset: f.start + second})
	case 2:
		if second > 0 && second < mostObjects {
			f.place(number, entry{offset: bigEndian(row[width[0]+width[1]:]), stream: int32(second)})
		}
	}
}

func bigEndian(b []byte) int64 {
	n := int64(0)
	for _, c := range b {
		n = n<<8 | int64(c)
	}
	return max(n, 0)
}

// rebuild finds the objects by looking through the whole file for "1 0 obj".
func (f *File) rebuild() error {
	if f.rebuilt {
		return nil
	}
	f.rebuilt = true
	f.objects, f.trailer = nil, value{kind: kindDict, dict: map[string]value{}}
	f.fonts, f.streams, f.order = map[ref]*font{}, map[int]*objectStream{}, nil
	const window, overlap = 1 << 18, 64
	buf := make([]byte, window+overlap)
	for at := int64(0); at < f.size; at += window {
		if err := f.ctx.Err(); err != nil {
			return err
		}
		n, err := f.r.ReadAt(buf[:min(int64(len(buf)), f.size-at)], at)
		if err != nil && err != io.EOF {
			return fault.Wrap(err, fault.Unavailable, "the source cannot be read")
		}
		f.scan(buf[:n], at, min(n, window))
	}
	f.findRoot()
	if f.trailer.dict["Root"].kind != kindRef {
		return damaged("no pages are found in it")
	}
	return nil
}

// scan notes the objects and trailers that begin in the first bytes of buf,
// which stands at a place of the file. Later objects replace earlier ones.
func (f *File) scan(buf []byte, at int64, until int) {
	for i := 0; i < until; {
		n := bytes.Index(buf[i:], []byte("obj"))
		t := bytes.Index(buf[i:], []byte("trailer"))
		if n < 0 && t < 0 {
			return
		}
		if n < 0 || t >= 0 && t < n {
			if i+t < until {
				f.addTrailer(f.lexerAt(at + int64(i+t+len("trailer"))).value(0))
			}
			i += t + 1
			continue
		}
		if number, start, ok := objectBefore(buf, i+n); ok && start < until {
			for number >= len(f.objects) {
				f.objects = append(f.objects, entry{})
			}
			f.objects[number] = entry{offset: at + int64(start)}
		}
		i += n + 3
	}
}

// objectBefore reads the "1 0 " before "obj" backwards.
func objectBefore(buf []byte, at int) (number, start int, ok bool) {
	i := at
	field := func() string {
		for i > 0 && isSpace(buf[i-1]) {
			i--
		}
		to := i
		for i > 0 && buf[i-1] >= '0' && buf[i-1] <= '9' && to-i < 10 {
			i--
		}
		return string(buf[i:to])
	}
	generation, digits := field(), ""
	if generation != "" {
		digits = field()
	}
	n, err := strconv.Atoi(digits)
	return n, i, err == nil && n < mostObjects
}

func (f *File) addTrailer(v value) {
	for _, key := range []string{"Root", "Info", "Encrypt", "ID"} {
		if x, ok := v.dict[key]; ok {
			f.trailer.dict[key] = x
		}
	}
}

// findRoot looks at the objects for the catalogue, for object streams, which
// hold further objects, and for trailers in cross-reference streams.
func (f *File) findRoot() {
	for number := range f.objects {
		if f.objects[number].offset == 0 && number == 0 || f.ctx.Err() != nil {
			continue
		}
		v, _, err := f.objectAt(f.objects[number].offset)
		if err != nil || v.kind != kindDict {
			continue
		}
		switch v.dict["Type"].str {
		case "Catalog":
			f.trailer.dict["Root"] = value{kind: kindRef, ref: ref{number: number}}
		case "XRef":
			f.addTrailer(v)
		case "ObjStm":
			f.placeMembers(number, v)
		}
	}
}

// placeMembers notes the objects of an object stream that are nowhere else.
func (f *File) placeMembers(number int, v value) {
	r, err := f.decoded(v)
	if err != nil {
		return
	}
	l := newLexer(f.ctx, r, false)
	for i := range v.dict["N"].int() {
		n, offset := l.value(0), l.value(0)
		if n.kind != kindNumber || offset.kind != kindNumber {
			return
		}
		f.place(n.int(), entry{offset: int64(i), stream: int32(number)}) //nolint:gosec // under mostObjects
	}
}
