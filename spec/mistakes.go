package spec

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/leat-ai/leat/base/fault"
)

// mostMistakes bounds how many mistakes are shown: beyond, a file is broken in
// a way that more lines do not explain.
const mostMistakes = 100

// mistakes gathers faults with their positions.
type mistakes struct {
	all     []mistake
	dropped int
}

type mistake struct {
	at  Position
	err *fault.Error
}

// add notes a mistake and returns it, so that a hint can be given to it.
func (m *mistakes) add(at Position, kind fault.Kind, format string, args ...any) *fault.Error {
	err := fault.New(kind, format, args...)
	m.put(at, err)
	return err
}

func (m *mistakes) put(at Position, err *fault.Error) {
	if err.Where == "" {
		err.Where = at.String()
	}
	if len(m.all) == mostMistakes {
		m.dropped++
		return
	}
	m.all = append(m.all, mistake{at, err})
}

// full tells that further mistakes are only counted.
func (m *mistakes) full() bool { return m.dropped > 0 }

// err gives all of them in the order of files and lines.
func (m *mistakes) err() error {
	slices.SortStableFunc(m.all, func(a, b mistake) int {
		return cmp.Or(cmp.Compare(a.at.File, b.at.File), cmp.Compare(a.at.Line, b.at.Line), cmp.Compare(a.at.Column, b.at.Column))
	})
	var list fault.List
	for _, x := range m.all {
		list.Add(x.err)
	}
	if m.dropped > 0 {
		list.Add(fault.New(fault.Invalid, "and %d more mistakes", m.dropped).Hint("mend these first"))
	}
	return list.Err()
}

// meant gives a hint: the candidate that was probably meant, or all of them
// where none is near.
func meant(word string, candidates []string) string {
	if best := fault.Nearest(word, candidates); best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	switch n := len(candidates); {
	case n == 0:
		return ""
	case n <= 24:
		return "known here: " + join(candidates)
	default:
		return fmt.Sprintf("%d names are known here", n)
	}
}

func join(words []string) string {
	text := ""
	for i, w := range words {
		switch {
		case i == 0:
		case i == len(words)-1:
			text += " or "
		default:
			text += ", "
		}
		text += w
	}
	return text
}
