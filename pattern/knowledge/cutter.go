package knowledge

import (
	"regexp"
	"strings"
	"unicode"

	"github.com/leat-ai/leat/flow/knowledge/sentence"
	"github.com/leat-ai/leat/pattern/knowledge/cite"
)

// cutter cuts what a model writes into sentences as soon as each is complete:
// its citations included, which stand behind its full stop, and the rest of a
// quotation that began in it.
type cutter struct {
	text   string            // what is not cut yet
	claims func(string) bool // whether a text says anything by itself
}

// piece is a sentence, with the space and the marks of lists before it.
type piece struct{ before, text string }

// feed adds what came, and returns the sentences that are complete.
func (c *cutter) feed(text string) []piece {
	if text == "" {
		return nil
	}
	c.text += text
	if !strings.ContainsAny(text, ".?!。？！؟।\n") && len(c.text) < maxSentence && !strings.ContainsAny(c.text, ".?!。？！؟।\n") {
		return nil
	}
	return c.cut(false)
}

// end returns what is left.
func (c *cutter) end() []piece { return c.cut(true) }

func (c *cutter) cut(all bool) (pieces []piece) {
	for c.text != "" {
		p, n := c.next(all)
		if n == 0 {
			return pieces
		}
		pieces = append(pieces, p)
		c.text = c.text[n:]
	}
	return pieces
}

// lead is space and the marks of lists, headings and quotations at the start
// of a line.
var lead = regexp.MustCompile(`^(?:\s+|(?:[-*+>]|#{1,6}|\d{1,3}[.)])[ \t]+)*`)

// citations are marks that belong to the sentence before them.
var citations = regexp.MustCompile(`^[ \t]*(?:[\[【]\^?\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*[\]】][ \t]*)*[.,;:]?`)

// next finds the first sentence, and how many bytes it takes; 0 where it is
// not complete.
func (c *cutter) next(all bool) (piece, int) {
	before := lead.FindString(c.text)
	rest := c.text[len(before):]
	if rest == "" {
		if all {
			return piece{before: before}, len(c.text)
		}
		return piece{}, 0
	}
	line, whole := rest, all
	if at := strings.IndexByte(rest, '\n'); at >= 0 {
		line, whole = rest[:at], true
	}
	spans := sentence.Split(line)
	for i, s := range spans {
		end := s.End
		end += len(strings.TrimRightFunc(citations.FindString(line[end:]), unicode.IsSpace))
		last := i == len(spans)-1 || strings.TrimSpace(line[end:]) == ""
		text := line[:end]
		if !last && (end < s.End || i+1 < len(spans) && end > spans[i+1].Start && end < spans[i+1].End && !startsSentence(line[end:])) {
			continue
		}
		if !last && (cite.Open(text) || !c.claims(cite.Plain(text))) && len(text) < maxSentence {
			continue
		}
		if last && !whole && len(text) < maxSentence {
			return piece{}, 0
		}
		// What follows must be known not to be a citation in the making.
		if next := strings.TrimSpace(line[end:]); !whole && (next == "" || next[0] == '[' || strings.HasPrefix(next, "【")) && len(text) < maxSentence {
			return piece{}, 0
		}
		return piece{before, text}, len(before) + end
	}
	if whole || len(line) >= maxSentence {
		return piece{before, line}, len(before) + len(line)
	}
	return piece{}, 0
}

// startsSentence tells whether a text behind citations begins anew.
func startsSentence(text string) bool { return text == "" || unicode.IsSpace(rune(text[0])) }
