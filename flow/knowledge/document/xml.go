package document

import (
	"encoding/xml"
	"io"
	"strings"

	"golang.org/x/net/html/charset"

	"github.com/leat-ai/leat/base/fault"
)

// longestXML bounds a single tag or text of XML.
const longestXML = 8 << 20

// meter bounds what is read for one token.
type meter struct {
	r    io.Reader
	left int
}

func (m *meter) Read(p []byte) (int, error) {
	if m.left <= 0 {
		return 0, fault.New(fault.TooLarge, "a tag or text of XML has more than %d bytes", longestXML)
	}
	n, err := m.r.Read(p)
	m.left -= n
	return n, err
}

// attributes are those of a start tag, by their names without prefix.
type attributes []xml.Attr

func (a attributes) get(name string) string {
	for _, x := range a {
		if x.Name.Local == name {
			return x.Value
		}
	}
	return ""
}

// relation is the value of the attribute r:name, as against one without prefix.
func (a attributes) relation(name string) string {
	for _, x := range a {
		if x.Name.Local == name && x.Name.Space != "" {
			return x.Value
		}
	}
	return ""
}

// handler takes what an XML part holds. Elements have the names without
// prefix: who writes Office files may choose those. A nil function is skipped.
type handler struct {
	start func(name string, a attributes) error
	text  func(text []byte)
	end   func(name string) error
}

// walk reads an XML part of the archive. Entities of a DTD are never expanded:
// a part with a DTD is refused.
func (a *archive) walk(part string, depth int, h handler) error {
	body, err := a.open(part)
	if err != nil {
		return err
	}
	defer body.Close()
	m := &meter{r: body}
	d := xml.NewDecoder(m)
	d.Strict = false
	d.CharsetReader = charset.NewReaderLabel
	for level := 0; ; {
		m.left = longestXML
		token, err := d.RawToken()
		if err == io.EOF && level == 0 {
			return nil
		}
		if err != nil {
			return a.broken(part, err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			if level++; level > depth {
				return fault.New(fault.TooLarge, "elements nest deeper than %d levels", depth).At("%s", shown(part))
			}
			err = h.start(t.Name.Local, t.Attr)
		case xml.EndElement:
			level--
			if h.end != nil {
				err = h.end(t.Name.Local)
			}
		case xml.CharData:
			if h.text != nil {
				h.text(t)
			}
		case xml.Directive:
			err = fault.New(fault.Invalid, "the document declares a DTD, which Office documents never do").At("%s", shown(part))
		}
		if err != nil {
			return err
		}
	}
}

// broken keeps faults, which say what was over a bound, and wraps what the
// parser says.
func (a *archive) broken(part string, err error) error {
	if a.ctx.Err() != nil {
		return a.ctx.Err()
	}
	if fault.KindOf(err) == fault.TooLarge {
		return err
	}
	return fault.New(fault.Invalid, "a part of the document is damaged").At("%s", shown(part)).
		Hint("open it in the program that wrote it and save it again").Because(err)
}

// relations are the targets of a part's relations: by id, and by the last word
// of their type.
type relations struct {
	byID   map[string]string
	byType map[string]string
}

// relations reads what a part refers to, with targets as names of parts. A
// part without relations has none.
func (a *archive) relations(part string, depth int) (relations, error) {
	r := relations{map[string]string{}, map[string]string{}}
	dir, file := "", part
	if i := strings.LastIndexByte(part, '/'); i >= 0 {
		dir, file = part[:i+1], part[i+1:]
	}
	name := dir + "_rels/" + file + ".rels"
	if !a.has(name) {
		return r, nil
	}
	return r, a.walk(name, depth, handler{start: func(element string, at attributes) error {
		if element != "Relationship" || at.get("TargetMode") == "External" {
			return nil
		}
		target := resolve(dir, at.get("Target"))
		r.byID[at.get("Id")] = target
		kind := at.get("Type")
		r.byType[kind[strings.LastIndexByte(kind, '/')+1:]] = target
		return nil
	}})
}

// resolve joins a folder of the archive and a target relative to it.
func resolve(dir, target string) string {
	target = strings.ReplaceAll(target, `\`, "/")
	if rest, ok := strings.CutPrefix(target, "/"); ok {
		return rest
	}
	for strings.HasPrefix(target, "../") {
		target = target[3:]
		dir = dir[:strings.LastIndexByte(strings.TrimSuffix(dir, "/"), '/')+1]
	}
	return dir + strings.TrimPrefix(target, "./")
}
