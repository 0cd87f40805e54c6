package knowledge

import (
	"strconv"
	"strings"

	"github.com/leat-ai/leat/pattern/knowledge/cite"
	"github.com/leat-ai/leat/pattern/knowledge/guardrail"
)

// writer puts an answer together, and emits each part of it. It keeps what it
// is told to hold until release.
type writer struct {
	verifier  *verifier
	filter    *guardrail.Filter
	emit      func(Part) error
	held      []Part // nil: nothing is held
	hold      bool
	text      strings.Builder
	sentences []Sentence
	citations []Citation
	sent      int // how many citations were emitted
}

func newWriter(v *verifier, filter *guardrail.Filter, emit func(Part) error) *writer {
	return &writer{verifier: v, filter: filter, emit: emit}
}

// cite returns the number of a stretch of a passage, which holds.
func (w *writer) cite(p Passage, start, end int) int {
	c := citation(p, start, end, len(w.citations)+1)
	for _, known := range w.citations {
		if known.Knowledge == c.Knowledge && known.Source == c.Source && known.Version == c.Version && known.Start == c.Start && known.End == c.End {
			return known.Number
		}
	}
	w.citations = append(w.citations, c)
	w.filter.Allow(c.URL)
	return c.Number
}

// quote writes a quotation with its citation.
func (w *writer) quote(bytes string, number int) error {
	open, end := marks(bytes)
	mark := " [" + strconv.Itoa(number) + "]"
	if shown := w.filter.Clean(bytes); shown != bytes {
		return w.put(strings.TrimSpace(shown)+mark, true, []int{number})
	}
	return w.put(open+bytes+end+mark, true, []int{number})
}

// sentence writes a checked sentence.
func (w *writer) sentence(text string, supported bool, numbers []int) error {
	return w.put(w.clean(text), supported, numbers)
}

// maxPeeled bounds how many layers of quotation marks are taken off a text.
const maxPeeled = 8

// clean is a checked text as it may be let out. Words that stand in quotation
// marks in it stood so when they were checked: those that the filter changes,
// or brings to light, are no quote, and lose their marks.
func (w *writer) clean(text string) string {
	checked, state := cite.Quoted(text), *w.filter
	for range maxPeeled {
		shown := w.filter.Clean(text)
		bare := cite.Unquote(shown, checked)
		if bare == shown {
			return shown
		}
		text, *w.filter = bare, state // without the marks it may be something else
	}
	return w.filter.Clean(guardrail.Gone)
}

// glue writes what stands between sentences and says nothing.
func (w *writer) glue(text string) error {
	if text = w.clean(text); text == "" {
		return nil
	}
	w.text.WriteString(text)
	return w.send(Part{Text: text})
}

func (w *writer) put(text string, supported bool, numbers []int) error {
	if text == "" {
		return nil
	}
	start := w.text.Len()
	w.text.WriteString(text)
	s := Sentence{Start: start, End: w.text.Len(), Supported: supported, Citations: numbers}
	w.sentences = append(w.sentences, s)
	p := Part{Text: text, Sentence: &s, Citations: w.citations[w.sent:len(w.citations):len(w.citations)]}
	w.sent = len(w.citations)
	return w.send(p)
}

func (w *writer) send(p Part) error {
	if w.hold {
		w.held = append(w.held, p)
		return nil
	}
	return w.emit(p)
}

// release emits what was held.
func (w *writer) release() error {
	for _, p := range w.held {
		if err := w.emit(p); err != nil {
			return err
		}
	}
	w.held, w.hold = nil, false
	return nil
}

// said is the answer as it was written.
func (w *writer) said(spent spending) said {
	return said{text: w.text.String(), sentences: w.sentences, citations: w.citations, spent: spent}
}
