package pdf

import (
	"io"
	"sort"
)

// cmap maps codes of a font to characters, or to glyph numbers (9.7.5, 9.10.3).
type cmap struct {
	spaces []codespace
	chars  map[uint32]string
	ranges []codeRange
	sorted bool
}

type codespace struct {
	bytes     int
	low, high uint32
}

// codeRange maps the codes from low to high to consecutive characters from
// text, whose last unit counts up, or to numbers from first.
type codeRange struct {
	low, high uint32
	text      string
	first     uint32
}

// mostMapped bounds the entries of a cmap.
const mostMapped = 1 << 17

// readCMap reads the operators of a CMap that fill its tables; what else its
// program does is left.
func (f *File) readCMap(r io.Reader) (*cmap, error) {
	m := &cmap{chars: map[uint32]string{}}
	l := newLexer(f.ctx, r, false)
	var args []value
	for len(m.chars)+len(m.ranges) < mostMapped {
		l.values = 0
		v := l.value(0)
		if v.kind == kindEnd && v.str == "" {
			break
		}
		if v.kind != kindOperator {
			const most = 4096
			if len(args) < most {
				args = append(args, v)
			}
			continue
		}
		m.operator(v.str, args)
		args = args[:0]
	}
	return m, l.failed
}

func (m *cmap) operator(name string, args []value) {
	switch name {
	case "endcodespacerange":
		for ; len(args) >= 2; args = args[2:] {
			if n := len(args[0].str); n >= 1 && n <= 4 {
				m.spaces = append(m.spaces, codespace{n, code(args[0].str), code(args[1].str)})
			}
		}
	case "endbfchar":
		for ; len(args) >= 2; args = args[2:] {
			m.chars[code(args[0].str)] = unicodeText(args[1])
		}
	case "endbfrange":
		for ; len(args) >= 3; args = args[3:] {
			low, high := code(args[0].str), code(args[1].str)
			if args[2].kind == kindArray {
				for i, text := range args[2].array {
					if low+uint32(i) > high || len(m.chars) >= mostMapped { //nolint:gosec // an array has fewer
						break
					}
					m.chars[low+uint32(i)] = unicodeText(text) //nolint:gosec // an array has fewer
				}
				continue
			}
			m.ranges = append(m.ranges, codeRange{low: low, high: high, text: unicodeText(args[2])})
		}
	case "endcidrange":
		for ; len(args) >= 3; args = args[3:] {
			m.ranges = append(m.ranges, codeRange{low: code(args[0].str), high: code(args[1].str), first: uint32(max(args[2].int(), 0))}) //nolint:gosec // a glyph number
		}
	case "endcidchar":
		for ; len(args) >= 2; args = args[2:] {
			low := code(args[0].str)
			m.ranges = append(m.ranges, codeRange{low: low, high: low, first: uint32(max(args[1].int(), 0))}) //nolint:gosec // a glyph number
		}
	}
}

func code(s string) uint32 {
	n := uint32(0)
	for i := range min(len(s), 4) {
		n = n<<8 | uint32(s[i])
	}
	return n
}

func unicodeText(v value) string {
	switch {
	case v.kind == kindName:
		return glyphText(v.str)
	case len(v.str) == 1:
		return string(rune(v.str[0]))
	}
	return utf16String(v.str)
}

func (m *cmap) find(c uint32) (codeRange, bool) {
	if !m.sorted {
		sort.SliceStable(m.ranges, func(i, j int) bool { return m.ranges[i].low < m.ranges[j].low })
		m.sorted = true
	}
	i := sort.Search(len(m.ranges), func(i int) bool { return m.ranges[i].low > c })
	if i == 0 || c > m.ranges[i-1].high { // ranges do not overlap in sound files
		return codeRange{}, false
	}
	return m.ranges[i-1], true
}

// text is what a code shows.
func (m *cmap) text(c uint32) (string, bool) {
	if s, ok := m.chars[c]; ok {
		return s, true
	}
	r, ok := m.find(c)
	if !ok || r.text == "" {
		return "", false
	}
	last := []rune(r.text)
	last[len(last)-1] += rune(c - r.low) //nolint:gosec // what is no character becomes U+FFFD
	return string(last), true
}

// glyph is the glyph number of a code.
func (m *cmap) glyph(c uint32) uint32 {
	if r, ok := m.find(c); ok {
		return r.first + c - r.low
	}
	return 0
}

// next cuts the first code from a string: as long as its codespace says.
func (m *cmap) next(s string) (c uint32, n int) {
	for n = 1; n <= 4 && n <= len(s); n++ {
		c = code(s[:n])
		for _, space := range m.spaces {
			if space.bytes == n && c >= space.low && c <= space.high {
				return c, n
			}
		}
	}
	least := 2
	for _, space := range m.spaces {
		least = min(least, space.bytes)
	}
	n = min(least, len(s))
	return code(s[:n]), n
}
