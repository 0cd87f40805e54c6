package knowledge

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/knowledge/chunk"
	"github.com/leat-ai/leat/flow/knowledge/document"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/index"
)

// Names of fields that every passage has where its document has them; those of
// a resource stand beside them.
const (
	fieldURL      = "url"
	fieldSource   = "source"   // where the document comes from
	fieldFormat   = "format"   // such as "markdown"
	fieldModified = "modified" // when the document was changed last
)

// fieldsOf picks the declared fields of a document out of what its source and
// it itself say. What is no value of the declared type is left out and told.
func fieldsOf(k spec.Knowledge, doc document.Document, given map[string]string) (fields map[string]string, warning string) {
	fields = map[string]string{}
	for _, c := range k.Fields {
		text, ok := given[c.Name]
		if !ok {
			text, ok = doc.Meta[c.Name]
		}
		if !ok || text == "" {
			continue
		}
		if _, err := valuesOf(c.Type, text); err != nil {
			warning = "field " + strconv.Quote(c.Name) + " is no " + string(c.Type) + ": " + strconv.Quote(clip(text, 60))
			continue
		}
		fields[c.Name] = text
	}
	return fields, warning
}

// valuesOf reads a field; of text a list gives several.
func valuesOf(t frame.Type, text string) ([]index.Value, error) {
	one := func(v index.Value, err error) ([]index.Value, error) { return []index.Value{v}, err }
	text = strings.TrimSpace(text)
	switch t {
	case frame.Bool:
		b, err := strconv.ParseBool(text)
		return one(index.Truth(b), err)
	case frame.Int:
		n, err := strconv.ParseInt(text, 10, 64)
		return one(index.Integer(n), err)
	case frame.Double:
		f, err := strconv.ParseFloat(text, 64)
		if f != f {
			err = strconv.ErrSyntax
		}
		return one(index.Number(f), err)
	case frame.Timestamp, frame.Date:
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02T15:04:05", "2006-01-02 15:04:05", time.DateOnly} {
			if at, err := time.Parse(layout, text); err == nil {
				return one(index.Time(at), nil)
			}
		}
		return nil, strconv.ErrSyntax
	}
	var values []index.Value
	for _, item := range listOf(text) {
		values = append(values, index.Text(clip(item, index.MaxName)))
	}
	return values, nil
}

// listOf reads text that may be a list: a JSON array, or names in brackets, or
// one value.
func listOf(text string) []string {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil
	}
	inner, bracket := strings.CutPrefix(text, "[")
	if !bracket {
		return []string{text}
	}
	var list []string
	if json.Unmarshal([]byte(text), &list) == nil {
		return list
	}
	for item := range strings.SplitSeq(strings.TrimSuffix(inner, "]"), ",") {
		if item = strings.Trim(strings.TrimSpace(item), `"'`); item != "" {
			list = append(list, item)
		}
	}
	return list
}

// indexFields are the fields of a document's passages.
func indexFields(k spec.Knowledge, p *prepared) []index.Field {
	var out []index.Field
	add := func(name string, v index.Value) { out = append(out, index.Field{Name: name, Value: v}) }
	add(fieldSource, index.Text(clip(p.Origin, index.MaxName)))
	if p.Format != "" {
		add(fieldFormat, index.Text(p.Format))
	}
	if p.URL != "" {
		add(fieldURL, index.Text(clip(p.URL, index.MaxName)))
	}
	if !p.Modified.IsZero() {
		add(fieldModified, index.Time(p.Modified))
	}
	for _, c := range k.Fields {
		text, ok := p.Fields[c.Name]
		if !ok {
			continue
		}
		values, err := valuesOf(c.Type, text)
		if err != nil {
			continue // it was told when the document was read
		}
		for _, v := range values {
			if len(out) < index.MaxFields {
				add(c.Name, v)
			}
		}
	}
	return out
}

// indexSettings are what the index of a knowledge is built with.
func indexSettings(k spec.Knowledge) index.Settings {
	set := func(into *float64, v *float64) {
		if v != nil {
			*into = *v
		}
	}
	out := index.Settings{Language: k.Language}.Default()
	set(&out.K1, k.BM25.K1)
	set(&out.B, k.BM25.B)
	set(&out.Weights.Title, k.BM25.Title)
	set(&out.Weights.Heading, k.BM25.Heading)
	return out
}

// headingOf is the path of headings above a passage, without the title of the
// document where that is the first of them.
func headingOf(title string, c chunk.Chunk) string {
	headings := c.Headings
	if len(headings) > 1 && headings[0] == title {
		headings = headings[1:]
	}
	return clip(strings.Join(headings, " > "), 2000)
}

// clip shortens text to so many bytes, between two characters.
func clip(text string, most int) string {
	text = strings.ToValidUTF8(text, "�")
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}

// faultOf finds the fault in an error; nil where there is none.
func faultOf(err error) *fault.Error {
	f, _ := errors.AsType[*fault.Error](err)
	return f
}

// sentence is what a fault says, without its hint.
func sentence(f *fault.Error) string {
	if f.Where != "" {
		return f.Where + ": " + f.What
	}
	return f.What
}
