package index

import (
	"fmt"
	"slices"
	"strings"
)

// Reader is who asks: a set of marks, of which a document's readers must have
// one. The zero Reader reads nothing.
type Reader struct {
	marks []string // sorted, without repetition
	all   bool
}

// Marks of readers.
const (
	Anyone      = "*"
	UserPrefix  = "user:"
	GroupPrefix = "group:"
)

// ReaderOf is somebody known, by name and groups: "*", "user:NAME" and
// "group:NAME" of each group. Without a name it is anybody, who reads what
// everyone may read.
func ReaderOf(name string, groups []string) Reader {
	marks := make([]string, 0, len(groups)+2)
	marks = append(marks, Anyone)
	if name != "" {
		marks = append(marks, UserPrefix+name)
	}
	for _, g := range groups {
		marks = append(marks, GroupPrefix+g)
	}
	slices.Sort(marks)
	return Reader{marks: slices.Compact(marks)}
}

// Everything reads all that is not withdrawn, granted or not. It is for what
// measures an index, never for what answers a caller.
func Everything() Reader { return Reader{all: true} }

// All tells whether r is Everything.
func (r Reader) All() bool { return r.all }

// Marks lists the marks in rising order. The list is not to be changed.
func (r Reader) Marks() []string { return r.marks }

// May tells whether r reads a document with these readers.
func (r Reader) May(readers []string) bool {
	return r.all || slices.ContainsFunc(readers, func(mark string) bool {
		_, found := slices.BinarySearch(r.marks, mark)
		return found
	})
}

// Key is the same for two readers exactly when they read the same of any
// index; answers that are kept go by it.
func (r Reader) Key() string {
	if r.all {
		return "all"
	}
	return fmt.Sprintf("%q", r.marks)
}

// validMark tells whether a mark is one of the three forms.
func validMark(mark string) bool {
	user, isUser := strings.CutPrefix(mark, UserPrefix)
	group, isGroup := strings.CutPrefix(mark, GroupPrefix)
	return mark == Anyone || isUser && user != "" || isGroup && group != ""
}
