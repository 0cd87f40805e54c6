package knowledge

import (
	"context"
	"strings"

	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/pattern/knowledge/extract"
	"github.com/leat-ai/leat/pattern/knowledge/guardrail"
	"github.com/leat-ai/leat/pattern/knowledge/words"
)

// extractive quotes the passages. What stands in quotation marks is what the
// source has, byte for byte; a stretch that has a link or markup, which an
// answer must not carry, stands without them and without the marks, and its
// citation has the bytes.
type extractive struct {
	texts   Texts
	abstain *float64
}

func (e *extractive) answer(ctx context.Context, q asked, emit func(Part) error) (said, error) {
	v := newVerifier(e.texts, q.passages)
	passages, err := v.standing(ctx)
	if err != nil {
		return said{}, err
	}
	found := extract.Answer(q.query, extracts(passages), extract.Options{})
	if len(found.Quotes) == 0 || found.Confidence < threshold(e.abstain, extract.Enough) {
		return abstain(q, spending{Model: decide.Extractive}, emit)
	}
	w := newWriter(v, guardrail.New(nil, nil), emit)
	for i, quote := range found.Quotes {
		p := passages[quote.Passage]
		if i > 0 {
			if err := w.glue("\n\n"); err != nil {
				return said{}, err
			}
		}
		w.filter.Know(p.Text)
		number := w.cite(p, quote.Start, quote.End)
		if err := w.quote(p.Text[quote.Start:quote.End], number); err != nil {
			return said{}, err
		}
	}
	return w.said(spending{Model: decide.Extractive}), nil
}

// threshold is how strong the evidence must be, where the assistant does not
// say it itself.
func threshold(own *float64, otherwise float64) float64 {
	if own != nil {
		return *own
	}
	return otherwise
}

func extracts(passages []Passage) []extract.Passage {
	out := make([]extract.Passage, len(passages))
	for i, p := range passages {
		out[i] = extract.Passage{Text: p.Text, Title: p.Title, Heading: p.Heading, Context: p.Context, Score: p.Score, Source: p.Knowledge + "\x00" + p.Source}
	}
	return out
}

// evident asks nobody where the evidence is weak.
type evident struct {
	answerer answerer
	abstain  *float64
}

func (e *evident) answer(ctx context.Context, q asked, emit func(Part) error) (said, error) {
	if len(q.passages) == 0 || extract.Confidence(q.query, extracts(q.passages), "") < threshold(e.abstain, extract.EnoughToAsk) {
		return abstain(q, spending{}, emit)
	}
	return e.answerer.answer(ctx, q, emit)
}

// abstain says that the sources do not answer.
func abstain(q asked, spent spending, emit func(Part) error) (said, error) {
	text := nothing(words.Of("", q.question).Name)
	s := said{text: text, abstained: true, spent: spent}
	return s, emit(Part{Text: text})
}

func nothing(language string) string {
	switch language {
	case "de":
		return "Die Quellen beantworten diese Frage nicht."
	case "es":
		return "Las fuentes no responden a esta pregunta."
	case "fr":
		return "Les sources ne répondent pas à cette question."
	case "ar":
		return "المصادر لا تجيب عن هذا السؤال."
	case "zh":
		return "资料没有回答这个问题。"
	}
	return "The sources do not answer this question."
}

// marks are the quotation marks of a language.
func marks(text string) (open, end string) {
	if strings.ContainsAny(text, "“”") {
		return "„", "“"
	}
	return "“", "”"
}
