package pdf

import (
	"bufio"
	"compress/flate"
	"encoding/ascii85"
	"io"

	"github.com/leat-ai/leat/base/fault"
)

// decoded is the data of a stream after its filters (7.4). Filters of images
// give nothing: text is in none of them.
func (f *File) decoded(v value) (io.Reader, error) {
	if v.data <= 0 || v.data > f.size {
		return eof{}, nil
	}
	length, err := f.streamLength(v)
	if err != nil {
		return nil, err
	}
	var r io.Reader = io.NewSectionReader(f.r, v.data, length)
	if f.crypt != nil && !v.dict["Type"].isName("XRef") {
		r = f.crypt.stream(r, v.owner)
	}
	filters, err := f.get(v, "Filter")
	if err != nil {
		return nil, err
	}
	params, err := f.get(v, "DecodeParms")
	if err != nil {
		return nil, err
	}
	if filters.kind == kindName {
		filters, params = value{kind: kindArray, array: []value{filters}}, value{kind: kindArray, array: []value{params}}
	}
	const mostFilters = 8
	for i, filter := range filters.array {
		if filter, err = f.resolve(filter); err != nil {
			return nil, err
		}
		var param value
		if i < len(params.array) {
			if param, err = f.resolve(params.array[i]); err != nil {
				return nil, err
			}
		}
		if i >= mostFilters {
			return eof{}, nil
		}
		if r = f.filter(r, filter.str, param); r == nil {
			return eof{}, nil
		}
	}
	return &swelling{f: f, r: r, packed: length}, nil
}

// streamLength is the length of a stream, never past the end of the file. One
// that is wrong or missing is found by the word endstream.
func (f *File) streamLength(v value) (int64, error) {
	length := v.dict["Length"]
	var err error
	if f.resolves < 8 {
		f.resolves++
		length, err = f.resolve(length)
		f.resolves--
	}
	if err != nil {
		return 0, err
	}
	n := int64(length.int())
	if length.kind == kindNumber && n > 0 && v.data+n <= f.size && f.endsAt(v.data+n) {
		return n, nil
	}
	return f.findEnd(v.data), nil
}

// endsAt tells that the word endstream stands at a place, after space.
func (f *File) endsAt(at int64) bool {
	l := f.lexerAt(at)
	return l.word2() == "endstream"
}

// word2 is the word after space.
func (l *lexer) word2() string {
	if _, ok := l.skipSpace(); !ok {
		return ""
	}
	l.back()
	return l.word().str
}

// findEnd is the length of the stream at a place up to endstream.
func (f *File) findEnd(at int64) int64 {
	r := bufio.NewReaderSize(io.NewSectionReader(f.r, at, f.size-at), 64<<10)
	const mark = "endstream"
	matched := 0
	for n := int64(0); ; n++ {
		c, err := r.ReadByte()
		if err != nil || n&0xfffff == 0 && f.ctx.Err() != nil {
			return f.size - at
		}
		switch c {
		case mark[matched]:
			if matched++; matched == len(mark) {
				return n + 1 - int64(len(mark))
			}
		case mark[0]:
			matched = 1
		default:
			matched = 0
		}
	}
}

// The factor by which a stream may swell, and the size below which nobody asks.
const (
	mostSwelling = 200
	harmless     = 8 << 20
)

// swelling counts what comes out of the streams of a file. An error of a
// filter ends the stream: what came before it is still text.
type swelling struct {
	f      *File
	r      io.Reader
	packed int64
	out    int64
}

func (s *swelling) Read(p []byte) (int, error) {
	if err := s.f.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := s.r.Read(p)
	s.out += int64(n)
	s.f.left -= int64(n)
	if s.f.left < 0 {
		s.f.left = 0
		return 0, fault.New(fault.TooLarge, "more than %d bytes come out of the file's streams", s.f.limits.Unpack).Hint("split the file, or raise the limit")
	}
	if s.out > harmless && s.out/mostSwelling > s.packed {
		return 0, fault.New(fault.TooLarge, "a stream of the file swells to more than %d times its size", mostSwelling).
			Hint("files like this are made to exhaust memory: look where it comes from")
	}
	if err != nil {
		err = io.EOF
	}
	return n, err
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// filter is nil where the data is no text.
func (f *File) filter(r io.Reader, name string, param value) io.Reader {
	switch name {
	case "FlateDecode", "Fl":
		b := bufio.NewReader(r)
		if _, err := b.Discard(2); err != nil { // the header of zlib; its checksum is not asked
			return eof{}
		}
		return predicted(flate.NewReader(b), param)
	case "LZWDecode", "LZW":
		early := 1
		if e, ok := param.dict["EarlyChange"]; ok {
			early = e.int()
		}
		return predicted(&lzwReader{r: bufio.NewReader(r), early: early}, param)
	case "ASCII85Decode", "A85":
		return ascii85.NewDecoder(&ascii85Body{r: bufio.NewReader(r)})
	case "ASCIIHexDecode", "AHx":
		return &hexReader{r: bufio.NewReader(r)}
	case "RunLengthDecode", "RL":
		return &runLength{r: bufio.NewReader(r)}
	case "Crypt":
		return r
	}
	return nil
}

// ascii85Body ends at the mark ~>, which Go's decoder does not know.
type ascii85Body struct {
	r    *bufio.Reader
	done bool
}

func (a *ascii85Body) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) && !a.done {
		c, err := a.r.ReadByte()
		if err != nil || c == '~' {
			a.done = true
			break
		}
		if c > ' ' && c <= 'u' || c == 'z' {
			p[n] = c
			n++
		}
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

type hexReader struct{ r *bufio.Reader }

func (h *hexReader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		first, ok := h.digit()
		if !ok {
			break
		}
		second, _ := h.digit()
		p[n] = first<<4 | second
		n++
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (h *hexReader) digit() (byte, bool) {
	for {
		c, err := h.r.ReadByte()
		if err != nil || c == '>' {
			return 0, false
		}
		if d := hexDigit(c); d < 16 {
			return d, true
		}
	}
}

type runLength struct {
	r      *bufio.Reader
	repeat int
	copies int
	c      byte
}

func (l *runLength) Read(p []byte) (int, error) {
	for n := range p {
		if l.repeat == 0 && l.copies == 0 {
			length, err := l.r.ReadByte()
			if err != nil || length == 128 {
				return ended(n)
			}
			if length < 128 {
				l.copies = int(length) + 1
			} else {
				l.repeat = 257 - int(length)
				l.c, _ = l.r.ReadByte() //nolint:errcheck // the next read finds the end
			}
		}
		if l.repeat > 0 {
			p[n] = l.c
			l.repeat--
			continue
		}
		c, err := l.r.ReadByte()
		if err != nil {
			return ended(n)
		}
		p[n] = c
		l.copies--
	}
	return len(p), nil
}

func ended(n int) (int, error) {
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// predicted undoes the predictors of PNG and TIFF (7.4.4.4).
func predicted(r io.Reader, param value) io.Reader {
	predictor := param.dict["Predictor"].int()
	if predictor < 2 {
		return r
	}
	number := func(key string, otherwise int) int {
		if n := param.dict[key].int(); n > 0 {
			return n
		}
		return otherwise
	}
	colors, bits, columns := number("Colors", 1), number("BitsPerComponent", 8), number("Columns", 1)
	const widest = 1 << 20
	if colors > 32 || bits > 16 || columns > widest {
		return eof{}
	}
	return &predictorReader{
		r: bufio.NewReader(r), png: predictor >= 10, pixel: max(1, colors*bits/8),
		row: make([]byte, (colors*bits*columns+7)/8), above: make([]byte, (colors*bits*columns+7)/8),
	}
}

type predictorReader struct {
	r          *bufio.Reader
	png        bool
	pixel      int
	row, above []byte
	pending    []byte
}

func (p *predictorReader) Read(b []byte) (int, error) {
	if len(p.pending) == 0 {
		if err := p.next(); err != nil {
			return 0, err
		}
	}
	n := copy(b, p.pending)
	p.pending = p.pending[n:]
	return n, nil
}

func (p *predictorReader) next() error {
	kind := byte(1)
	if p.png {
		var err error
		if kind, err = p.r.ReadByte(); err != nil {
			return err
		}
	}
	p.row, p.above = p.above, p.row
	n, err := io.ReadFull(p.r, p.row)
	if n == 0 {
		return err
	}
	for i := range p.row[:n] {
		var left, corner byte
		if i >= p.pixel {
			left, corner = p.row[i-p.pixel], p.above[i-p.pixel]
		}
		switch kind {
		case 1:
			p.row[i] += left
		case 2:
			p.row[i] += p.above[i]
		case 3:
			p.row[i] += byte((int(left) + int(p.above[i])) / 2)
		case 4:
			p.row[i] += paeth(left, p.above[i], corner)
		}
	}
	p.pending = p.row[:n]
	return nil
}

func paeth(a, b, c byte) byte {
	p := int(a) + int(b) - int(c)
	da, db, dc := abs(p-int(a)), abs(p-int(b)), abs(p-int(c))
	switch {
	case da <= db && da <= dc:
		return a
	case db <= dc:
		return b
	}
	return c
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}

// lzwReader decodes LZW with codes of 9 to 12 bits, the highest bit first.
type lzwReader struct {
	r       *bufio.Reader
	early   int
	bits    uint32
	have    int
	width   int
	prefix  [4096]uint16
	suffix  [4096]byte
	next    int
	last    int
	started bool
	out     []byte
	stack   [4097]byte
}

func (z *lzwReader) Read(p []byte) (int, error) {
	for len(z.out) == 0 {
		code, ok := z.code()
		if !ok || code == 257 {
			return 0, io.EOF
		}
		if !z.take(code) {
			return 0, io.EOF
		}
	}
	n := copy(p, z.out)
	z.out = z.out[n:]
	return n, nil
}

func (z *lzwReader) code() (int, bool) {
	if !z.started {
		z.started, z.width, z.next, z.last = true, 9, 258, -1
	}
	for z.have < z.width {
		c, err := z.r.ReadByte()
		if err != nil {
			return 0, false
		}
		z.bits = z.bits<<8 | uint32(c)
		z.have += 8
	}
	z.have -= z.width
	return int(z.bits>>z.have) & (1<<z.width - 1), true
}

// take decodes a code into z.out and adds the entry that it completes.
func (z *lzwReader) take(code int) bool {
	if code == 256 {
		z.width, z.next, z.last = 9, 258, -1
		return true
	}
	at, c := len(z.stack), code
	if code >= z.next {
		if code > z.next || z.last < 0 {
			return false
		}
		at-- // the entry that is not there yet: the last one and its own first byte
		c = z.last
	}
	for c >= 258 {
		at--
		z.stack[at] = z.suffix[c]
		c = int(z.prefix[c])
	}
	at--
	z.stack[at] = byte(c)
	if code >= z.next {
		z.stack[len(z.stack)-1] = byte(c)
	}
	if z.last >= 0 && z.next < 4096 {
		z.prefix[z.next], z.suffix[z.next] = uint16(z.last), byte(c) //nolint:gosec // below 4096
		z.next++
	}
	if z.next+z.early >= 1<<z.width && z.width < 12 {
		z.width++
	}
	z.last = code
	z.out = z.stack[at:]
	return true
}
