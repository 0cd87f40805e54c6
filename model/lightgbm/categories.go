package lightgbm

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model/encode"
)

// categories are those of a pandas column, in the order of their codes: texts,
// numbers or truths. A cell that is none of them is as good as none.
type categories struct {
	texts  []string
	values []float64
	truths bool // values are 0 for false and 1 for true
}

func (c *categories) count() int { return max(len(c.texts), len(c.values)) }

// describe makes the column one that reads such cells.
func (c *categories) describe(to *encode.Column) {
	switch {
	case c.values == nil:
		to.Type, to.Kind, to.Categories, to.UnseenMissing = frame.String, encode.Category, c.texts, true
		return
	case c.truths:
		to.Type = frame.Bool
	}
	to.Kind, to.Values = encode.Value, c.values
}

// UnmarshalJSON reads a list of one type.
func (c *categories) UnmarshalJSON(data []byte) error {
	first := bytes.TrimLeft(data, "[ ")
	switch {
	case bytes.HasPrefix(first, []byte(`"`)), bytes.HasPrefix(first, []byte("]")):
		return json.Unmarshal(data, &c.texts)
	case bytes.HasPrefix(first, []byte("t")), bytes.HasPrefix(first, []byte("f")):
		var truths []bool
		err := json.Unmarshal(data, &truths)
		c.truths, c.values = true, make([]float64, len(truths))
		for i, v := range truths {
			if v {
				c.values[i] = 1
			}
		}
		return err
	}
	return json.Unmarshal(data, &c.values)
}

// readCategories reads the line that the Python package ends a file with.
func readCategories(text string) ([]*categories, error) {
	if text == "" {
		return nil, nil
	}
	var lists []*categories
	if err := json.Unmarshal([]byte(text), &lists); err != nil {
		return nil, corrupt("pandas_categorical is not JSON of lists, each of one type").At(File).Because(err)
	}
	for i, list := range lists {
		if list == nil || list.count() > encode.MaxCategories {
			return nil, invalid("list %d of pandas_categorical is absent or too long", i).At(File)
		}
	}
	return lists, nil
}

// mostPairs bounds the work of giving lists to features.
const mostPairs = 1 << 20

// assign gives the lists to the features that they belong to. The file does
// not say which: pandas has one for each column of its type category, in
// order, ordered ones included, which LightGBM takes for numbers; and columns
// that are category codes already have none. What is looked for is the only
// way that keeps the order, fits what the file tells of each feature, and has
// the fewest of these exceptions. ok is false when there is none, or more
// than one.
func assign(lists []*categories, h *header, t *tail) (given []*categories, ok bool) {
	given = make([]*categories, h.features)
	if len(lists) == 0 {
		return given, true
	}
	if len(lists) > h.features || len(lists)*h.features > mostPairs {
		return given, false
	}
	a := newAlignment(lists, h, t)
	return given, a.solve(given)
}

// alignment finds the cheapest way to walk through features and lists.
type alignment struct {
	lists    []*categories
	features []profile
}

// profile is what the file tells of a feature.
type profile struct {
	categorical bool
	codes       int // one more than the largest that was seen; -1 when its numbers are no codes
}

func newAlignment(lists []*categories, h *header, t *tail) *alignment {
	a := &alignment{lists: lists, features: make([]profile, h.features)}
	infos := h.infos
	for i := range a.features {
		a.features[i] = profileOf(infos.next())
	}
	for word := range strings.SplitSeq(t.categorical, ",") {
		if i, err := strconv.Atoi(word); err == nil && i >= 0 && i < h.features {
			a.features[i].categorical = true
		}
	}
	return a
}

// profileOf reads an entry of feature_infos: "[0:4]" for the range of a
// number, "-1:3:0:1" for category codes, "none" for a feature without use.
func profileOf(info string) profile {
	switch {
	case info == "" || info == "none":
		return profile{}
	case strings.HasPrefix(info, "["):
		low, high, _ := strings.Cut(strings.Trim(info, "[]"), ":")
		from, err1 := strconv.ParseFloat(low, 64)
		to, err2 := strconv.ParseFloat(high, 64)
		if err1 != nil || err2 != nil || from != math.Trunc(from) || to != math.Trunc(to) || from < 0 || to >= encode.MaxCategories {
			return profile{codes: -1}
		}
		return profile{codes: int(to) + 1}
	}
	p := profile{categorical: true}
	for word := range strings.SplitSeq(info, ":") {
		if code, err := strconv.Atoi(word); err == nil {
			p.codes = max(p.codes, code+1)
		}
	}
	return p
}

// path is how the features up to one take lists: the number of exceptions,
// and in how many ways there are so few, two standing for more.
type path struct{ exceptions, ways int }

// solve fills given, unless there is no way or more than one.
func (a *alignment) solve(given []*categories) bool {
	const impossible = math.MaxInt32
	n := len(a.lists)
	taken := make([]bool, len(a.features)*(n+1)) // by feature and lists taken, whether it took the last
	paths := make([]path, n+1)
	for j := range paths {
		paths[j] = path{exceptions: impossible}
	}
	paths[0] = path{ways: 1}
	for i, f := range a.features {
		skip, take := 0, 1
		if f.categorical {
			skip, take = 1, 0
		}
		for j := n; j >= 0; j-- {
			best := paths[j]
			best.exceptions += skip
			if j > 0 && f.codes >= 0 && f.codes <= a.lists[j-1].count() {
				before := paths[j-1]
				switch cost := before.exceptions + take; {
				case before.ways == 0:
				case best.ways == 0 || cost < best.exceptions:
					best = path{cost, before.ways}
					taken[i*(n+1)+j] = true
				case cost == best.exceptions:
					best.ways = 2
				}
			}
			paths[j] = best
		}
	}
	if paths[n].ways != 1 {
		return false
	}
	for i, j := len(a.features)-1, n; i >= 0; i-- {
		if taken[i*(n+1)+j] {
			j--
			given[i] = a.lists[j]
		}
	}
	return true
}

// unassigned is the note of a model whose lists could not be given away.
const unassigned = "pandas_categorical does not tell which features it belongs to: categories are given by their codes"
