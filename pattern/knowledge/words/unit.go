package words

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/leat-ai/leat/flow/knowledge/sentence"
)

// Unit is a stretch of a text that is quoted as one: a sentence, an item of a
// list, a row of a table, a heading, some lines of code.
type Unit struct {
	Start, End int
	Heading    bool
	Question   bool // it asks rather than says
	// Header is, of a row of a table, how many units before it the table's
	// header stands; 0 for none.
	Header int
}

// maxUnit is how long a quote may be, in bytes. What is longer is cut between
// words.
const maxUnit = 800

// maxUnits bounds how many are made of one text.
const maxUnits = 4_000

// Units cuts a text in the order of its bytes. They do not overlap, and leave
// out only space and the marks of Markdown between them.
func Units(text string) []Unit {
	var s splitter
	s.text = text
	for at := 0; at < len(text) && len(s.units) < maxUnits; {
		end := strings.IndexByte(text[at:], '\n')
		if end < 0 {
			end = len(text)
		} else {
			end += at
		}
		s.line(at, end)
		at = end + 1
	}
	s.flush()
	return s.units
}

// splitter gathers lines that belong to one paragraph.
type splitter struct {
	text       string
	units      []Unit
	start, end int // of the paragraph; none when they are equal
	fence      string
	inTable    bool // the last unit is a row of the table that goes on
	header     int  // of that table: its unit, counted from 1; 0 for none
}

func (s *splitter) line(start, end int) {
	line := s.text[start:end]
	body := strings.TrimSpace(line)
	if s.fence != "" {
		if strings.HasPrefix(body, s.fence) {
			s.fence = ""
			return
		}
		s.whole(start, end, Unit{})
		return
	}
	if !strings.HasPrefix(body, "|") {
		s.inTable, s.header = false, 0
	}
	switch {
	case body == "":
		s.flush()
	case strings.HasPrefix(body, "```") || strings.HasPrefix(body, "~~~"):
		s.flush()
		s.fence = body[:3]
	case strings.HasPrefix(body, "#"):
		s.flush()
		mark := strings.Index(line, "#") + len(body) - len(strings.TrimLeft(body, "#"))
		s.whole(start+mark, end, Unit{Heading: true})
	case strings.HasPrefix(body, "|"):
		s.flush()
		s.row(start, end, body)
		return
	case strings.Trim(body, "-=*_ ") == "":
		s.flush()
	default:
		if mark := itemMark(line); mark > 0 {
			s.flush()
			start += mark
		}
		if s.start == s.end {
			s.start = start
		}
		s.end = end
	}
}

// row adds a row of a table. What stands above the line of dashes is the
// table's header.
func (s *splitter) row(start, end int, body string) {
	n := len(s.units)
	switch {
	case strings.ContainsFunc(body, unicode.IsLetter) || strings.ContainsFunc(body, unicode.IsDigit):
		u := Unit{}
		if s.header > 0 {
			u.Header = n - s.header + 1
		}
		s.whole(start, end, u)
		s.inTable = true
	case strings.Contains(body, "--") && s.inTable && s.header == 0:
		s.units[n-1].Heading = true
		s.header = n
	}
}

// itemMark is how many bytes the mark of a list's item takes with the space
// around it; 0 where a line begins no item.
func itemMark(line string) int {
	at := len(line) - len(strings.TrimLeft(line, " \t"))
	rest := line[at:]
	digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
	switch {
	case digits > 0 && digits < 4 && len(rest) > digits+1 && (rest[digits] == '.' || rest[digits] == ')') && rest[digits+1] == ' ':
		at += digits + 2
	case len(rest) > 1 && strings.IndexByte("-*+>", rest[0]) >= 0 && rest[1] == ' ':
		at += 2
	case strings.HasPrefix(rest, "• "):
		at += len("• ")
	default:
		return 0
	}
	return at + len(line[at:]) - len(strings.TrimLeft(line[at:], " \t"))
}

// flush cuts the paragraph that was gathered into sentences.
func (s *splitter) flush() {
	if s.start == s.end {
		return
	}
	paragraph := s.text[s.start:s.end]
	for _, span := range sentence.Split(paragraph) {
		s.whole(s.start+span.Start, s.start+span.End, Unit{})
	}
	s.start, s.end = 0, 0
}

// whole adds a stretch, in pieces where it is too long.
func (s *splitter) whole(start, end int, u Unit) {
	for start < end && len(s.units) < maxUnits {
		start, end = Trim(s.text, start, end)
		if start == end {
			return
		}
		u.Start, u.End = start, piece(s.text, start, end)
		u.Question = asks(s.text[u.Start:u.End])
		s.units = append(s.units, u)
		start = u.End
		if u.Header > 0 {
			u.Header++
		}
	}
}

func asks(text string) bool {
	text = strings.TrimRight(text, "*_\"”’) ")
	return strings.HasSuffix(text, "?") || strings.HasSuffix(text, "？") || strings.HasSuffix(text, "؟")
}

// piece is where a quote that begins at start ends, at most at end.
func piece(text string, start, end int) int {
	if end-start <= maxUnit {
		return end
	}
	cut := start + maxUnit
	if space := strings.LastIndexAny(text[start:cut], " \t\n"); space > maxUnit/2 {
		return start + space
	}
	for cut > start && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return cut
}

// Trim moves both ends of a range past space.
func Trim(text string, start, end int) (int, int) {
	part := text[start:end]
	left := strings.TrimLeftFunc(part, unicode.IsSpace)
	start += len(part) - len(left)
	return start, start + len(strings.TrimRightFunc(left, unicode.IsSpace))
}
