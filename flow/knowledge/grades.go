package knowledge

import (
	"encoding/json"

	"github.com/leat-ai/leat/base/fault"
)

// Grades say of documents how well they answer a question: above 0 they do. In
// a file they are an object, or a list of those that do.
type Grades map[string]int

// UnmarshalJSON reads either form.
func (g *Grades) UnmarshalJSON(data []byte) error {
	var list []string
	if json.Unmarshal(data, &list) == nil {
		*g = make(Grades, len(list))
		for _, document := range list {
			(*g)[document] = 1
		}
		return nil
	}
	var graded map[string]int
	if json.Unmarshal(data, &graded) != nil {
		return fault.New(fault.Invalid, "it does not say which documents answer it").
			Hint(`write "documents": ["docs/travel.md"], or with grades {"docs/travel.md": 2}`)
	}
	*g = graded
	return nil
}
