package lake

import (
	"strings"

	"github.com/apache/iceberg-go/table"

	"github.com/leat-ai/leat/base/fault"
)

// maxName bounds the name of a table or column.
const maxName = 200

// identOf takes a name apart into namespace and table.
func identOf(name string) (table.Identifier, error) {
	namespace, rest, dotted := strings.Cut(name, ".")
	if !dotted {
		namespace, rest = DefaultNamespace, name
	}
	for _, part := range []string{namespace, rest} {
		if !validName(part) {
			return nil, fault.New(fault.Invalid, "%q is no name for a table", name).
				Hint("use letters, digits, - and _, beginning with a letter or _")
		}
	}
	return table.Identifier{namespace, rest}, nil
}

func nameOf(ident table.Identifier) string {
	if len(ident) == 2 && ident[0] == DefaultNamespace {
		return ident[1]
	}
	return strings.Join(ident, ".")
}

// validName is narrow because a table's name is a folder's name too.
func validName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i, r := range s {
		letter := r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (i == 0 || !('0' <= r && r <= '9' || r == '-')) {
			return false
		}
	}
	return true
}

// nearest returns the known name that is most like a mistyped one, or "".
func nearest(name string, known []string) string {
	best, least := "", len(name)/3+1
	for _, k := range known {
		if strings.EqualFold(k, name) {
			return k
		}
		if d := distance(strings.ToLower(name), strings.ToLower(k)); d <= least {
			best, least = k, d-1
		}
	}
	return best
}

// distance is the number of single-byte edits between a and b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
