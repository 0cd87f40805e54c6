package document

import (
	"strconv"
	"strings"
)

// docxStyle is what a style of paragraphs means for reading.
type docxStyle struct {
	name     string
	base     string
	heading  int // 1 to 6
	title    bool
	quote    bool
	code     bool
	contents bool // of a table of contents
	num      string
	level    int
}

// readStyles reads the styles and the language of the document.
func (r *docxReader) readStyles() error {
	r.styles = map[string]docxStyle{}
	part := r.refs.byType["styles"]
	if !r.has(part) {
		return nil
	}
	id, s, inside := "", docxStyle{}, false
	return r.walk(part, r.j.limits.Depth, handler{
		start: func(name string, a attributes) error {
			switch name {
			case "style":
				id, s, inside = a.get("styleId"), docxStyle{}, a.get("type") == "paragraph"
			case "lang":
				if !inside && r.language == "" {
					r.language = a.get("val")
				}
			case "name":
				s.setName(a.get("val"))
			case "basedOn":
				s.base = a.get("val")
			case "outlineLvl":
				s.outline(a.get("val"))
			case "numId":
				s.num = a.get("val")
			case "ilvl":
				s.level, _ = strconv.Atoi(a.get("val")) //nolint:errcheck // 0 where it is no number
			}
			return nil
		},
		end: func(name string) error {
			if name == "style" && inside && len(r.styles) < r.j.limits.Entries {
				r.styles[id] = s
				inside = false
			}
			return nil
		},
	})
}

func (s *docxStyle) setName(name string) {
	s.name = strings.ToLower(name)
	level, isHeading := strings.CutPrefix(s.name, "heading ")
	switch {
	case isHeading:
		if n, err := strconv.Atoi(level); err == nil {
			s.heading = min(max(n, 1), 6)
		}
	case s.name == "title":
		s.heading, s.title = 1, true
	case strings.Contains(s.name, "quote"):
		s.quote = true
	case strings.Contains(s.name, "code") || strings.Contains(s.name, "preformatted") || s.name == "macro text" || s.name == "plain text":
		s.code = true
	case strings.HasPrefix(s.name, "toc ") || strings.HasPrefix(s.name, "contents ") || s.name == "table of figures":
		s.contents = true
	}
}

func (s *docxStyle) outline(level string) {
	if n, err := strconv.Atoi(level); err == nil && n >= 0 && n < 9 {
		s.heading = min(n+1, 6)
	}
}

// style is what a paragraph's own properties, its style and the styles it is
// based on say together, the nearer first.
func (r *docxReader) style(p *docxParagraph) docxStyle {
	id, outline, hasOutline := strings.Cut(p.style, "\x00")
	s := docxStyle{num: p.num, level: p.level}
	if hasOutline {
		s.outline(outline)
	}
	const longestChain = 16
	for range longestChain {
		base, ok := r.styles[id]
		if !ok {
			break
		}
		if s.heading == 0 && (!hasOutline || outline != "9") {
			s.heading, s.title = base.heading, base.title
		}
		if s.num == "" && !p.hasNum {
			s.num, s.level = base.num, base.level
		}
		s.quote, s.code, s.contents = s.quote || base.quote, s.code || base.code, s.contents || base.contents
		id = base.base
	}
	return s
}

// readNumbering reads which lists have numbers and which have bullets.
func (r *docxReader) readNumbering() error {
	r.formats = map[string]string{}
	part := r.refs.byType["numbering"]
	if !r.has(part) {
		return nil
	}
	abstract := map[string]string{} // "abstractId/level" → format
	owner, level, num := "", "", ""
	return r.walk(part, r.j.limits.Depth, handler{start: func(name string, a attributes) error {
		switch name {
		case "abstractNum":
			owner, num = a.get("abstractNumId"), ""
		case "lvl":
			level = a.get("ilvl")
		case "numFmt":
			if num == "" && len(abstract) < r.j.limits.Entries {
				abstract[owner+"/"+level] = a.get("val")
			}
		case "num":
			num = a.get("numId")
		case "abstractNumId":
			for l := range 9 {
				if len(r.formats) < 9*r.j.limits.Entries {
					r.formats[num+"/"+itoa(l)] = abstract[a.get("val")+"/"+itoa(l)]
				}
			}
		}
		return nil
	}})
}
