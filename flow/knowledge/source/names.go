package source

import (
	"path"
	"strings"
)

// Names says which documents of a source are wanted, by globs over their names
// in which ** stands for any number of folders. The zero Names wants all.
type Names struct {
	Include []string
	Exclude []string
}

// Wanted tells whether a name is.
func (n Names) Wanted(name string) bool {
	for _, glob := range n.Exclude {
		if Match(glob, name) {
			return false
		}
	}
	for _, glob := range n.Include {
		if Match(glob, name) {
			return true
		}
	}
	return len(n.Include) == 0
}

// HasGlob tells whether a path is a pattern.
func HasGlob(pattern string) bool { return strings.ContainsAny(pattern, "*?[") }

// globBase is the folder that everything which matches lies in.
func globBase(pattern string) string {
	elements := strings.Split(pattern, "/")
	for i, e := range elements {
		if HasGlob(e) {
			if i == 0 {
				return "."
			}
			return strings.Join(elements[:i], "/")
		}
	}
	return path.Dir(pattern)
}

// Match tells whether a slash-separated name is what a glob means: *, ? and
// [..] within an element, ** for any number of elements. Time is in proportion
// to the product of both lengths, whatever the pattern.
func Match(glob, name string) bool {
	globs, names := strings.Split(glob, "/"), strings.Split(name, "/")
	// reach[i] tells whether the elements of the glob so far match the first i
	// of the name.
	reach := make([]bool, len(names)+1)
	reach[0] = true
	for _, g := range globs {
		next := make([]bool, len(names)+1)
		if g == "**" {
			seen := false
			for i := range reach {
				seen = seen || reach[i]
				next[i] = seen
			}
		} else {
			for i, element := range names {
				if !reach[i] {
					continue
				}
				if ok, err := path.Match(g, element); ok && err == nil {
					next[i+1] = true
				}
			}
		}
		reach = next
	}
	return reach[len(names)]
}
