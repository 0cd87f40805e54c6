package llm

import (
	"io"
	"maps"
	"strings"

	"github.com/leat-ai/leat/base/fault"
)

// Delta is a piece of an answer. Any of its fields may be empty.
type Delta struct {
	ID    string // of the answer, as the provider calls it
	Model string // that answers, as the provider calls it
	// Choice is which answer the piece belongs to, where Request.N is more
	// than one.
	Choice    int
	Text      string
	Refusal   string
	Reasoning string
	Calls     []CallPart
	Finish    Finish // with the last piece of a choice
	// Usage is what the call has used so far, or in all: the last one counts.
	// A provider that does not count gives none.
	Usage *Usage
	// Extra are members of the answer that Leat does not read, ChoiceExtra of
	// the choice, MessageExtra of its message or delta.
	Extra, ChoiceExtra, MessageExtra Extra
}

// CallPart is a piece of a call of a tool. The first piece of a call has its
// ID and Name; Arguments are to be joined.
type CallPart struct {
	Index     int // which call of the answer
	ID        string
	Name      string
	Arguments string
	Custom    bool
	Extra     Extra
}

// Answer is a whole answer.
type Answer struct {
	ID      string
	Model   string
	Choices []Choice // at least one; as many as Request.N
	Usage   *Usage   // nil where the provider does not count
	Extra   Extra
}

// Choice is one of the answers to a request.
type Choice struct {
	Message Message
	Finish  Finish
	Extra   Extra
}

// Text returns the text of the first choice.
func (a Answer) Text() string {
	if len(a.Choices) == 0 {
		return ""
	}
	return a.Choices[0].Message.Text()
}

// Bounds of an answer that is collected.
const (
	MaxAnswer  = 64 << 20 // bytes of text and arguments
	MaxChoices = 128
	MaxCalls   = 1024 // of tools, in one choice
)

// Collect reads a stream to its end, closes it and returns the answer. Where
// the stream breaks off it returns what came until then with the error.
func Collect(s Stream) (Answer, error) {
	defer s.Close()
	c := collector{}
	for {
		d, err := s.Next()
		if err == io.EOF {
			return c.answer(), nil
		}
		if err == nil {
			err = c.add(d)
		}
		if err != nil {
			return c.answer(), err
		}
	}
}

type collector struct {
	whole   Answer
	choices []*collected
	size    int
}

// collected is a choice in the making.
type collected struct {
	text, refusal, reasoning strings.Builder
	calls                    []*collectedCall
	finish                   Finish
	extra, message           Extra
}

type collectedCall struct {
	Call
	arguments strings.Builder
}

func (c *collector) add(d Delta) error {
	if d.ID != "" {
		c.whole.ID = d.ID
	}
	if d.Model != "" {
		c.whole.Model = d.Model
	}
	if d.Usage != nil {
		c.whole.Usage = d.Usage
	}
	c.whole.Extra = merge(c.whole.Extra, d.Extra)
	if d.Choice < 0 || d.Choice >= MaxChoices {
		return fault.New(fault.Unavailable, "the language model answered a choice %d", d.Choice)
	}
	for len(c.choices) <= d.Choice {
		c.choices = append(c.choices, &collected{})
	}
	c.size += len(d.Text) + len(d.Refusal) + len(d.Reasoning)
	for _, p := range d.Calls {
		c.size += len(p.Arguments) + len(p.Name)
	}
	if c.size > MaxAnswer {
		return fault.New(fault.TooLarge, "the language model's answer is larger than %d bytes", MaxAnswer)
	}
	return c.choices[d.Choice].add(d)
}

func (c *collected) add(d Delta) error {
	c.text.WriteString(d.Text)
	c.refusal.WriteString(d.Refusal)
	c.reasoning.WriteString(d.Reasoning)
	if d.Finish != "" {
		c.finish = d.Finish
	}
	c.extra, c.message = merge(c.extra, d.ChoiceExtra), merge(c.message, d.MessageExtra)
	for _, p := range d.Calls {
		if p.Index < 0 || p.Index >= MaxCalls {
			return fault.New(fault.Unavailable, "the language model answered a call %d of a tool", p.Index)
		}
		for len(c.calls) <= p.Index {
			c.calls = append(c.calls, &collectedCall{})
		}
		call := c.calls[p.Index]
		if p.ID != "" {
			call.ID = p.ID
		}
		call.Name += p.Name
		call.Custom = call.Custom || p.Custom
		call.Extra = merge(call.Extra, p.Extra)
		call.arguments.WriteString(p.Arguments)
	}
	return nil
}

func merge(a, b Extra) Extra {
	if len(b) == 0 {
		return a
	}
	if a == nil {
		a = Extra{}
	}
	maps.Copy(a, b)
	return a
}

func (c *collector) answer() Answer {
	a := c.whole
	for _, choice := range c.choices {
		a.Choices = append(a.Choices, choice.choice())
	}
	return a
}

func (c *collected) choice() Choice {
	m := Message{Role: Assistant, Refusal: c.refusal.String(), Reasoning: c.reasoning.String(), Extra: c.message}
	if c.text.Len() > 0 {
		m.Parts = []Part{{Kind: TextPart, Text: c.text.String()}}
	}
	for _, call := range c.calls {
		call.Arguments = call.arguments.String()
		m.Calls = append(m.Calls, call.Call)
	}
	return Choice{Message: m, Finish: c.finish, Extra: c.extra}
}
