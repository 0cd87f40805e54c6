package azuresearch

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/index"
)

// document is a passage as the service keeps it.
type document struct {
	Action      string      `json:"@search.action,omitempty"`
	Score       float64     `json:"@search.score,omitempty"`
	Key         string      `json:"key"`
	Snapshots   []string    `json:"snapshots,omitempty"`
	Readers     []string    `json:"readers"`
	Withdrawn   bool        `json:"withdrawn"`
	Stamp       string      `json:"stamp"`
	Document    string      `json:"document"`
	DocumentKey string      `json:"documentKey"`
	IDKey       string      `json:"idKey"`
	ID          string      `json:"id"`
	Version     string      `json:"version"`
	Start       int         `json:"start"`
	End         int         `json:"end"`
	Title       string      `json:"title"`
	Heading     string      `json:"heading"`
	Context     string      `json:"context"`
	Text        string      `json:"text"`
	Raw         string      `json:"raw,omitempty"` // the text in base64, where it is no UTF-8
	Language    string      `json:"language"`
	Page        int         `json:"page"`
	Ordinal     int         `json:"ordinal"`
	Parent      string      `json:"parent"`
	Fields      []attribute `json:"fields"`
	Vector      []float32   `json:"vector,omitempty"`
}

// attribute is a field of a passage.
type attribute struct {
	Name   string   `json:"name"`
	Kind   int      `json:"kind"`
	Text   *string  `json:"text,omitempty"`
	Whole  *int64   `json:"whole,omitempty"`
	Number *float64 `json:"number,omitempty"`
}

// columns are what is read of a document.
const columns = "key,document,id,version,start,end,title,heading,context,text,raw,language,page,ordinal,parent,fields"

// hashed names something by letters and digits alone, which is all that keys
// may have.
func hashed(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		_, _ = h.Write([]byte(strconv.Itoa(len(p)) + ":" + p))
	}
	return hex.EncodeToString(h.Sum(nil)[:20])
}

func passageKey(sid, name string, ordinal int) string {
	return hashed(sid, name, strconv.Itoa(ordinal))
}

// fromPassage translates a passage of the snapshot sid.
func fromPassage(p *index.Passage, sid string) (document, error) {
	d := document{
		Action: "mergeOrUpload", Key: passageKey(sid, p.Document, p.Ordinal), Snapshots: []string{sid},
		Document: p.Document, DocumentKey: hashed(p.Document), IDKey: hashed(p.ID), ID: p.ID, Version: p.Version, Start: p.Start, End: p.End,
		Title: strings.ToValidUTF8(p.Title, "\ufffd"), Heading: strings.ToValidUTF8(p.Heading, "\ufffd"), Context: strings.ToValidUTF8(p.Context, "\ufffd"),
		Text: p.Text, Language: p.Language, Page: p.Page, Ordinal: p.Ordinal, Parent: p.Parent, Fields: []attribute{},
	}
	if !utf8.ValidString(p.Text) {
		d.Text, d.Raw = strings.ToValidUTF8(p.Text, "\ufffd"), base64.StdEncoding.EncodeToString([]byte(p.Text))
	}
	if !utf8.ValidString(p.Document) || !utf8.ValidString(p.Parent) {
		return d, fault.New(fault.Unsupported, "the document %.100q has a name that is no UTF-8, which Azure AI Search does not keep", p.Document)
	}
	for _, f := range p.Fields {
		a := attribute{Name: f.Name, Kind: int(f.Value.Kind)}
		switch f.Value.Kind {
		case index.String:
			a.Text = &f.Value.Text
		case index.Double:
			a.Number = &f.Value.Double
		case index.Int:
			number := float64(f.Value.Int)
			a.Whole, a.Number = &f.Value.Int, &number
		default:
			a.Whole = &f.Value.Int
		}
		d.Fields = append(d.Fields, a)
	}
	for _, x := range p.Vector {
		if x != 0 {
			d.Vector = p.Vector // one of zeros is near to nothing
			break
		}
	}
	return d, nil
}

// passage translates back.
func (d *document) passage() (index.Passage, error) {
	p := index.Passage{
		ID: d.ID, Document: d.Document, Version: d.Version, Start: d.Start, End: d.End, Title: d.Title, Heading: d.Heading, Context: d.Context,
		Text: d.Text, Language: d.Language, Page: d.Page, Ordinal: d.Ordinal, Parent: d.Parent,
	}
	if d.Raw != "" {
		text, err := base64.StdEncoding.DecodeString(d.Raw)
		if err != nil {
			return p, fault.New(fault.Corrupt, "Azure AI Search has a text of %.100q that cannot be read", d.ID)
		}
		p.Text = string(text)
	}
	for _, a := range d.Fields {
		v := index.Value{Kind: index.Kind(a.Kind)}
		switch {
		case v.Kind == index.String && a.Text != nil:
			v.Text = *a.Text
		case v.Kind == index.Double && a.Number != nil:
			v.Double = *a.Number
		case a.Whole != nil:
			v.Int = *a.Whole
		}
		p.Fields = append(p.Fields, index.Field{Name: a.Name, Value: v})
	}
	return p, nil
}

// change is what is changed of a document that is there.
type change struct {
	Action    string    `json:"@search.action"`
	Key       string    `json:"key"`
	Snapshots *[]string `json:"snapshots,omitempty"`
	Readers   *[]string `json:"readers,omitempty"`
	Withdrawn *bool     `json:"withdrawn,omitempty"`
	Stamp     string    `json:"stamp,omitempty"`
}

// record is a document of the index of control: its body is JSON.
type record struct {
	Action string `json:"@search.action,omitempty"`
	Key    string `json:"key"`
	Kind   string `json:"kind"`
	Stamp  string `json:"stamp"`
	Body   string `json:"body"`
}
