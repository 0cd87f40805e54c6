// Package assess measures an assistant by questions whose answers are known:
// what it finds, what it cites, how its answers compare with those of people,
// and whether it keeps quiet where the sources have nothing.
//
// It stands beside the pattern that it measures and asks it like any other
// caller, so a figure is one of the whole path: retrieval with access control,
// answer, checked citations. ReadCases reads the questions, Run asks them and
// gives a Report; `leat eval assistant` and the evaluate step of a pipeline
// are its callers. A Judge, a language model that grades answers, is optional;
// nothing else here needs one.
package assess

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"

	"github.com/leat-ai/leat/base/fault"
	corpus "github.com/leat-ai/leat/flow/knowledge"
	"github.com/leat-ai/leat/pattern/knowledge"
)

// Case is a question with what is known of its answer. What is not known is
// left out, and measures that need it leave the case out.
type Case struct {
	ID           string           `json:"id,omitempty"`
	Question     string           `json:"question"`
	Conversation []knowledge.Turn `json:"conversation,omitempty"`
	// Documents are grades by source: above 0 it answers the question.
	Documents corpus.Grades `json:"documents,omitempty"`
	// Answers are what people say; the best match counts.
	Answers []string `json:"answers,omitempty"`
	// Answerable is false where the sources have no answer; nil: not known.
	Answerable *bool `json:"answerable,omitempty"`
}

// Bounds of a file of cases.
const (
	maxCases = 100_000
	maxLine  = 1 << 20
)

// ReadCases reads cases, one a line as JSON. A line that is none is an Invalid
// fault that names it.
func ReadCases(r io.Reader) ([]Case, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	var cases []Case
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		if len(cases) == maxCases {
			return nil, fault.New(fault.TooLarge, "there are more than %d questions", maxCases)
		}
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		var c Case
		if err := d.Decode(&c); err != nil {
			return nil, fault.New(fault.Invalid, "the question is not understood: %v", err).At("line %d", n).
				Hint(`write {"question": "…", "documents": {"travel.md": 1}, "answers": ["…"], "answerable": true}, each where it is known`)
		}
		if c.Question == "" {
			return nil, fault.New(fault.Invalid, "there is no question").At("line %d", n)
		}
		cases = append(cases, c)
	}
	if err := lines.Err(); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the questions cannot be read")
	}
	if len(cases) == 0 {
		return nil, fault.New(fault.Invalid, "there are no questions")
	}
	return cases, nil
}
