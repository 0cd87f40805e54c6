package pdf

import (
	"bytes"
	"io"
)

// get is the value of a key of a dictionary, resolved.
func (f *File) get(v value, key string) (value, error) {
	if v.kind == kindRef {
		var err error
		if v, err = f.resolve(v); err != nil {
			return value{}, err
		}
	}
	return f.resolve(v.dict[key])
}

// resolve is the object that a reference names; another value is itself. An
// object that is not there is null (7.3.10).
func (f *File) resolve(v value) (value, error) {
	for range mostNested {
		if v.kind != kindRef {
			return v, nil
		}
		var err error
		if v, err = f.object(v.ref); err != nil {
			return value{}, err
		}
	}
	return value{}, nil
}

func (f *File) object(r ref) (value, error) {
	if r.number <= 0 || r.number >= len(f.objects) {
		return value{}, nil
	}
	e := f.objects[r.number]
	if e == (entry{}) {
		return value{}, nil
	}
	if e.stream > 0 {
		return f.member(int(e.stream), r.number, int(e.offset))
	}
	v, number, err := f.objectAt(e.offset)
	if err != nil {
		return value{}, err
	}
	if number != r.number {
		if f.rebuilt {
			return value{}, nil
		}
		// The table points at something else: find everything anew, once.
		if err := f.rebuild(); err != nil {
			return value{}, err
		}
		return f.object(r)
	}
	return v, nil
}

// objectAt reads "1 0 obj …" at a place. The number is -1 where none stands
// there.
func (f *File) objectAt(offset int64) (value, int, error) {
	l := f.lexerAt(offset)
	number, generation, word := l.value(0), l.value(0), l.value(0)
	if number.kind != kindNumber || generation.kind != kindNumber || word.kind != kindOperator || word.str != "obj" {
		return value{}, -1, f.ctx.Err()
	}
	own := ref{number.int(), generation.int()}
	v := l.value(0)
	if v.kind == kindNumber && l.refs {
		if second := l.value(0); second.kind == kindNumber {
			if r := l.value(0); r.kind == kindOperator && r.str == "R" {
				v = reference(v, second)
			}
		}
	}
	if v.kind == kindDict {
		if word := l.value(0); word.kind == kindOperator && word.str == "stream" {
			c, _ := l.next()
			if c == '\r' && l.peek() == '\n' {
				l.next()
			} else if c != '\n' && c != '\r' {
				l.back()
			}
			v.data, v.owner = l.at, own
		}
	}
	if l.failed != nil {
		return value{}, -1, l.failed
	}
	return f.decryptStrings(v, own, 0), own.number, nil
}

// objectStream is one that was unpacked (7.5.7).
type objectStream struct {
	data    []byte
	numbers []int
	offsets []int
}

// The bounds of object streams: of one unpacked, of how many are held, and of
// how many may need each other.
const (
	longestObjectStream = 4 << 20
	heldStreams         = 3
	mostInside          = 3
)

// member is an object of an object stream: the one at the index, or the one of
// the number where the index is wrong.
func (f *File) member(stream, number, index int) (value, error) {
	s, err := f.objectStream(stream)
	if err != nil || s == nil {
		return value{}, err
	}
	if index >= len(s.numbers) || s.numbers[index] != number {
		index = -1
		for i, n := range s.numbers {
			if n == number {
				index = i
			}
		}
		if index < 0 {
			return value{}, nil
		}
	}
	if s.offsets[index] < 0 || s.offsets[index] > len(s.data) {
		return value{}, nil
	}
	l := newLexer(f.ctx, bytes.NewReader(s.data[s.offsets[index]:]), true)
	v := l.value(0)
	v.data = 0
	return v, nil
}

func (f *File) objectStream(number int) (*objectStream, error) {
	if s, ok := f.streams[number]; ok {
		return s, nil
	}
	if number >= len(f.objects) || f.objects[number].stream > 0 || f.resolves > mostInside {
		return nil, nil // an object stream is in no other
	}
	f.resolves++
	defer func() { f.resolves-- }()
	v, at, err := f.objectAt(f.objects[number].offset)
	if err != nil || at != number || v.data == 0 {
		return nil, err
	}
	r, err := f.decoded(v)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(r, longestObjectStream))
	if err != nil {
		return nil, err
	}
	s := &objectStream{data: data}
	l := newLexer(f.ctx, bytes.NewReader(data), false)
	first := v.dict["First"].int()
	for range v.dict["N"].int() {
		n, offset := l.value(0), l.value(0)
		if n.kind != kindNumber || offset.kind != kindNumber {
			break
		}
		s.numbers, s.offsets = append(s.numbers, n.int()), append(s.offsets, first+offset.int())
	}
	if len(f.order) >= heldStreams {
		delete(f.streams, f.order[0])
		f.order = f.order[1:]
	}
	f.streams[number] = s
	f.order = append(f.order, number)
	return s, nil
}
