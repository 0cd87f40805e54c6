package codec

import (
	"strconv"
	"strings"

	"github.com/leat-ai/leat/base/fault"
)

// parsePath takes a path apart: user.id, items.0.price, a."b.c".
func parsePath(path string) ([]string, error) {
	bad := func(what string) error {
		return fault.New(fault.Invalid, "the path %q %s", path, what).
			Hint(`write names with dots between them, as in user.id, and those with a dot in double quotes`)
	}
	var parts []string
	for rest := path; ; {
		var part string
		if strings.HasPrefix(rest, `"`) {
			end := strings.IndexByte(rest[1:], '"')
			if end < 0 {
				return nil, bad("has a quote without its end")
			}
			part, rest = rest[1:1+end], rest[2+end:]
			if rest != "" && rest[0] != '.' {
				return nil, bad("goes on after a quote without a dot")
			}
		} else if end := strings.IndexByte(rest, '.'); end >= 0 {
			part, rest = rest[:end], rest[end:]
		} else {
			part, rest = rest, ""
		}
		if part == "" {
			return nil, bad("has an empty part")
		}
		if parts = append(parts, part); len(parts) > MaxPath {
			return nil, bad("is too long")
		}
		if rest == "" {
			return parts, nil
		}
		rest = rest[1:]
	}
}

// node is a place in a body that columns are read from, or below which some
// are. A codec's nodes are a tree.
type node struct {
	name string
	// index is the name as a place in a list, or -1.
	index int
	// at numbers the nodes of a tree.
	at int
	// column is what is read here, or -1.
	column int
	below  []*node
	byName map[string]*node
}

// find returns the node below with a name, guessing at the one given.
func (n *node) find(name string, guess int) *node {
	if guess < len(n.below) && n.below[guess].name == name {
		return n.below[guess]
	}
	return n.byName[name]
}

// tree makes the nodes of columns and counts them.
func tree(columns []Column) (root *node, count int, err error) {
	root = &node{index: -1, column: -1, byName: map[string]*node{}}
	count = 1
	for i, c := range columns {
		parts := []string{c.Name}
		if c.Path != "" {
			if parts, err = parsePath(c.Path); err != nil {
				return nil, 0, fault.Wrap(err, fault.Invalid, "column %q", c.Name)
			}
		}
		at := root
		for _, part := range parts {
			next := at.byName[part]
			if next == nil {
				next = &node{name: part, index: -1, at: count, column: -1, byName: map[string]*node{}}
				if n, err := strconv.Atoi(part); err == nil && n >= 0 && strconv.Itoa(n) == part {
					next.index = n
				}
				count++
				at.byName[part] = next
				at.below = append(at.below, next)
			}
			at = next
		}
		if at.column >= 0 {
			return nil, 0, fault.New(fault.Invalid, "columns %q and %q read the same place %q", columns[at.column].Name, c.Name, strings.Join(parts, "."))
		}
		at.column = i
	}
	return root, count, nil
}
