package lightgbm

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/base/fault"
)

// lines goes through a text line by line. Lines end with "\n" or "\r\n".
type lines struct {
	text string
	at   int // of the next line
}

// next returns the next line without its end, and whether there was one.
func (l *lines) next() (line string, ok bool) {
	if l.at >= len(l.text) {
		return "", false
	}
	rest := l.text[l.at:]
	if end := strings.IndexByte(rest, '\n'); end >= 0 {
		line, l.at = rest[:end], l.at+end+1
	} else {
		line, l.at = rest, len(l.text)
	}
	return strings.TrimSuffix(line, "\r"), true
}

// tokens goes through the words of a line, which spaces part.
type tokens string

func (t *tokens) next() string {
	s := strings.TrimLeft(string(*t), " ")
	end := strings.IndexByte(s, ' ')
	if end < 0 {
		end = len(s)
	}
	*t = tokens(s[end:])
	return s[:end]
}

// count returns how many words there are, without taking any memory: a size
// that a file claims is compared with it before it is believed.
func (t tokens) count() int {
	n := 0
	for t.next() != "" {
		n++
	}
	return n
}

// number is what the columns of a tree are made of.
type number interface {
	~int32 | ~uint8 | ~uint32 | ~float64
}

// parseList reads exactly count numbers from the value of a key. It writes them
// over room where that has room for them.
func parseList[T number](room []T, key, value string, count int, parse func(string) (T, error)) ([]T, *fault.Error) {
	rest := tokens(value)
	if n := rest.count(); n != count {
		return nil, corrupt("%s has %d numbers where the tree needs %d", key, n, count)
	}
	list := slices.Grow(room[:0], count)[:count]
	for i := range list {
		word := rest.next()
		v, err := parse(word)
		if err != nil {
			return nil, corrupt("%s has %.40q, which is not a number of its kind", key, word)
		}
		list[i] = v
	}
	return list, nil
}

func parseInt(s string) (int32, error) {
	v, err := strconv.ParseInt(s, 10, 32)
	return int32(v), err
}

func parseWord(s string) (uint32, error) {
	v, err := strconv.ParseUint(s, 10, 32)
	return uint32(v), err
}

func parseByte(s string) (uint8, error) {
	v, err := strconv.ParseUint(s, 10, 8)
	return uint8(v), err
}

// parseFloat reads a number that may be anything but NaN or infinite; what is
// too small for a float64 is zero, as for LightGBM.
func parseFloat(s string) (float64, error) {
	v, err := strconv.ParseFloat(s, 64)
	if err == nil && (math.IsNaN(v) || math.IsInf(v, 0)) {
		err = strconv.ErrRange
	}
	return v, err
}

// parseThreshold reads a number that may also be infinite: LightGBM parts the
// missing values from all others by that.
func parseThreshold(s string) (float64, error) {
	v, err := strconv.ParseFloat(s, 64)
	if math.IsNaN(v) {
		err = strconv.ErrSyntax
	}
	return v, err
}

// parseGain reads a number that only tells how good a split was.
func parseGain(s string) (float64, error) {
	v, err := strconv.ParseFloat(s, 64)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, nil
	}
	return v, err
}
