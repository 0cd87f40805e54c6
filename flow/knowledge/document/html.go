package document

import (
	"bufio"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
	"golang.org/x/net/html/charset"
	"golang.org/x/text/transform"

	"github.com/leat-ai/leat/base/fault"
)

// html renders a page for reading. It works on tokens, not on a tree: memory
// is that of the rendering however deep the page nests, and time is linear.
func (j *job) html() (Document, error) {
	body, err := j.htmlBody()
	if err != nil {
		return Document{}, err
	}
	return j.renderHTML(j.writer(), body)
}

// renderHTML renders what a reader gives as UTF-8 into a writer.
func (j *job) renderHTML(w *writer, body io.Reader) (Document, error) {
	h := &htmlReader{w: w, meta: map[string]string{}, main: -1}
	if err := h.read(body); err != nil {
		return Document{}, err
	}
	doc := w.document()
	h.cutToMain(&doc)
	doc.Title, doc.Language, doc.Meta = h.title, h.lang, h.meta
	return doc, nil
}

// htmlBody finds the encoding of a page: what the server, a byte order mark or
// the page says, else UTF-8 where all of it is that, else a guess.
func (j *job) htmlBody() (io.Reader, error) {
	head := make([]byte, min(j.src.Size, 64<<10))
	if _, err := io.ReadFull(j.section(), head); err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "the source cannot be read")
	}
	if label := utf16Label(head); label != "" {
		e, _ := charset.Lookup(label)
		return transform.NewReader(j.section(), e.NewDecoder()), nil
	}
	e, name, certain := charset.DetermineEncoding(head, j.src.MIME)
	if !certain {
		name = guess(head)
		if valid, err := validUTF8(j.section()); err != nil {
			return nil, fault.Wrap(err, fault.Unavailable, "the source cannot be read")
		} else if valid {
			name = "utf-8"
		}
		e, _ = charset.Lookup(name)
	}
	if name == "utf-8" {
		return j.section(), nil
	}
	return transform.NewReader(j.section(), e.NewDecoder()), nil
}

func validUTF8(r io.Reader) (bool, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	for {
		c, n, err := b.ReadRune()
		if err == io.EOF {
			return true, nil
		}
		if err != nil || c == utf8.RuneError && n == 1 {
			return false, err
		}
	}
}

// htmlReader renders the tokens of a page.
type htmlReader struct {
	w       *writer
	title   string
	lang    string
	meta    map[string]string
	open    []element
	deep    int // elements that are open beyond what is kept track of
	skip    int // height of open at which something began that is not rendered; 0: rendering
	inline  inline
	heading int
	pre     int
	quote   int
	anchor  string // id of an element at or before the block that comes
	lists   []htmlList
	list    []byte // text of the outermost list that is open
	table   *htmlTable
	tables  int // open table elements, the layout ones included
	main    int // place of the text where the main part begins, or -1
	mainEnd int
}

type element struct {
	tag  atom.Atom
	name string // where tag is 0
}

// longestToken bounds a single tag, comment or text of a page; scripts with
// pictures in them are long.
const longestToken = 8 << 20

func (h *htmlReader) read(body io.Reader) error {
	z := html.NewTokenizer(body)
	z.SetMaxBuf(longestToken)
	for n := 0; ; n++ {
		if n%4096 == 0 && h.w.ctx.Err() != nil {
			return h.w.ctx.Err()
		}
		kind := z.Next()
		switch kind {
		case html.ErrorToken:
			if z.Err() == io.EOF {
				return h.finish()
			}
			if z.Err() == html.ErrBufferExceeded {
				return h.w.over("an element of the page has more than %d bytes", longestToken)
			}
			return fault.Wrap(z.Err(), fault.Unavailable, "the source cannot be read")
		case html.TextToken:
			h.text(z)
		case html.StartTagToken, html.SelfClosingTagToken:
			if err := h.start(z, kind == html.SelfClosingTagToken); err != nil {
				return err
			}
		case html.EndTagToken:
			name, _ := z.TagName()
			if err := h.end(elementOf(name)); err != nil {
				return err
			}
		}
		if len(h.inline.text)+len(h.list) > h.w.limits.Text {
			return h.w.over("the text has more than %d bytes", h.w.limits.Text)
		}
	}
}

func elementOf(name []byte) element {
	if a := atom.Lookup(name); a != 0 {
		return element{tag: a}
	}
	return element{name: string(name)}
}

func (h *htmlReader) text(z *html.Tokenizer) {
	if len(h.open) > 0 && h.open[len(h.open)-1].tag == atom.Title && h.title == "" && !h.within(atom.Svg) {
		h.title = oneLine(string(z.Text()), longestTitle)
		return
	}
	if h.skip > 0 {
		return
	}
	h.inline.add(z.Text(), h.pre > 0)
}

// tag is what the reader needs of a start tag.
type tag struct {
	element
	attr map[string]string
}

func readTag(z *html.Tokenizer) tag {
	name, more := z.TagName()
	t := tag{element: elementOf(name)}
	for more {
		var k, v []byte
		k, v, more = z.TagAttr()
		switch string(k) {
		case "id", "name", "class", "lang", "hidden", "aria-hidden", "role", "style", "rel", "href", "content", "property", "colspan", "start", "charset":
			if t.attr == nil {
				t.attr = map[string]string{}
			}
			if _, has := t.attr[string(k)]; !has && len(v) < 4096 {
				t.attr[string(k)] = string(v)
			}
		}
	}
	return t
}

// void elements have no end tag.
func void(a atom.Atom) bool {
	switch a {
	case atom.Area, atom.Base, atom.Br, atom.Col, atom.Embed, atom.Hr, atom.Img, atom.Input, atom.Link, atom.Meta, atom.Param, atom.Source, atom.Track, atom.Wbr:
		return true
	}
	return false
}

// dropped elements are not for reading.
func dropped(a atom.Atom) bool {
	switch a {
	case atom.Script, atom.Style, atom.Noscript, atom.Template, atom.Svg, atom.Math, atom.Iframe, atom.Object, atom.Audio, atom.Video,
		atom.Canvas, atom.Nav, atom.Button, atom.Select, atom.Textarea, atom.Datalist, atom.Title, atom.Map, atom.Dialog, atom.Noembed, atom.Noframes:
		return true
	}
	return false
}

func (t tag) isHidden() bool {
	if _, ok := t.attr["hidden"]; ok || t.attr["aria-hidden"] == "true" || t.attr["role"] == "navigation" {
		return true
	}
	style := strings.ReplaceAll(strings.ToLower(t.attr["style"]), " ", "")
	if strings.Contains(style, "display:none") || strings.Contains(style, "visibility:hidden") {
		return true
	}
	return t.attr["class"] == "headerlink" // the ¶ after a heading
}

func (h *htmlReader) start(z *html.Tokenizer, closed bool) error {
	t := readTag(z)
	if t.tag == 0 && t.attr == nil && closed {
		return nil
	}
	if h.skip > 0 {
		if !closed && !void(t.tag) {
			h.push(t.element)
		}
		return nil
	}
	if err := h.implied(t.tag); err != nil {
		return err
	}
	h.head(t)
	drop := dropped(t.tag) || t.isHidden()
	if !drop {
		if err := h.opens(t); err != nil {
			return err
		}
	}
	if void(t.tag) || closed && t.tag == 0 {
		return nil
	}
	h.push(t.element)
	if drop {
		h.skip = len(h.open) + h.deep
	}
	return nil
}

// mostOpen bounds the elements that are kept track of; deeper ones are counted.
const mostOpen = 4096

func (h *htmlReader) push(e element) {
	if len(h.open) < mostOpen {
		h.open = append(h.open, e)
	} else {
		h.deep++
	}
}

// head takes what a page says of itself.
func (h *htmlReader) head(t tag) {
	switch t.tag {
	case atom.Html:
		if h.lang == "" {
			h.lang = t.attr["lang"]
		}
	case atom.Link:
		if t.attr["rel"] == "canonical" && t.attr["href"] != "" {
			h.meta["canonical"] = t.attr["href"]
		}
	case atom.Meta:
		name := strings.ToLower(t.attr["name"] + t.attr["property"])
		switch name {
		case "description", "author", "keywords", "date", "robots", "article:published_time", "article:modified_time", "og:title":
			if v := oneLine(t.attr["content"], 1000); v != "" {
				h.meta[name] = v
			}
		}
	}
	if id := t.attr["id"]; id != "" && t.tag != atom.Html && t.tag != atom.Body {
		h.anchor = id
	} else if name := t.attr["name"]; name != "" && t.tag == atom.A {
		h.anchor = name
	}
}

// implied ends the elements that a new one ends without saying so.
func (h *htmlReader) implied(a atom.Atom) error {
	switch {
	case a == atom.Li:
		return h.endUpTo(a, atom.Ul, atom.Ol)
	case a == atom.Tr:
		return h.endUpTo(a, atom.Table)
	case a == atom.Td || a == atom.Th:
		if err := h.endUpTo(atom.Td, atom.Table, atom.Tr); err != nil {
			return err
		}
		return h.endUpTo(atom.Th, atom.Table, atom.Tr)
	case a == atom.Dt || a == atom.Dd:
		if err := h.endUpTo(atom.Dt, atom.Dl); err != nil {
			return err
		}
		return h.endUpTo(atom.Dd, atom.Dl)
	case isBlock(a) && len(h.open) > 0 && h.open[len(h.open)-1].tag == atom.P:
		return h.end(element{tag: atom.P})
	}
	return nil
}

// endUpTo ends an element if it is open within the innermost of others.
func (h *htmlReader) endUpTo(a atom.Atom, within ...atom.Atom) error {
	for i := len(h.open) - 1; i >= max(0, len(h.open)-64); i-- {
		if slices.Contains(within, h.open[i].tag) {
			return nil
		}
		if h.open[i].tag == a {
			return h.end(element{tag: a})
		}
	}
	return nil
}

func (h *htmlReader) within(a atom.Atom) bool {
	for i := len(h.open) - 1; i >= max(0, len(h.open)-16); i-- {
		if h.open[i].tag == a {
			return true
		}
	}
	return false
}

// end closes the innermost open element of a name and all within it; an end
// tag that ends nothing is left alone.
func (h *htmlReader) end(e element) error {
	if h.deep > 0 {
		h.deep--
		return nil
	}
	const far = 256
	at := -1
	for i := len(h.open) - 1; i >= max(0, len(h.open)-far); i-- {
		if h.open[i] == e {
			at = i
			break
		}
	}
	if at < 0 {
		if e.tag == atom.P && h.skip == 0 {
			return h.flush()
		}
		return nil
	}
	for len(h.open) > at {
		top := h.open[len(h.open)-1]
		h.open = h.open[:len(h.open)-1]
		if h.skip > 0 {
			if len(h.open) < h.skip {
				h.skip = 0
			}
			continue
		}
		if err := h.closes(top.tag); err != nil {
			return err
		}
	}
	return nil
}

func isBlock(a atom.Atom) bool {
	switch a {
	case atom.Address, atom.Article, atom.Aside, atom.Blockquote, atom.Body, atom.Caption, atom.Center, atom.Dd, atom.Details, atom.Div, atom.Dl, atom.Dt,
		atom.Fieldset, atom.Figcaption, atom.Figure, atom.Footer, atom.Form, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6,
		atom.Header, atom.Hgroup, atom.Hr, atom.Html, atom.Li, atom.Main, atom.Ol, atom.P, atom.Pre, atom.Section, atom.Summary, atom.Table,
		atom.Tbody, atom.Tfoot, atom.Thead, atom.Tr, atom.Ul:
		return true
	}
	return false
}

func (h *htmlReader) finish() error {
	for len(h.open) > 0 {
		top := h.open[len(h.open)-1]
		h.open = h.open[:len(h.open)-1]
		if h.skip > 0 && len(h.open) < h.skip {
			h.skip = 0
			continue
		}
		if h.skip == 0 {
			if err := h.closes(top.tag); err != nil {
				return err
			}
		}
	}
	return h.flush()
}

// inline gathers the text of a block.
type inline struct {
	text  []byte
	space bool // a space is due before what comes
}

// add appends text; space is folded unless it is preformatted.
func (i *inline) add(text []byte, pre bool) {
	if pre {
		i.text = append(i.text, text...)
		return
	}
	for len(text) > 0 {
		r, n := rune(text[0]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRune(text)
		}
		if unicode.IsSpace(r) {
			i.space = true
		} else {
			if i.space && len(i.text) > 0 && i.text[len(i.text)-1] != '\n' {
				i.text = append(i.text, ' ')
			}
			i.space = false
			i.text = append(i.text, text[:n]...)
		}
		text = text[n:]
	}
}

func (i *inline) newline() {
	if len(i.text) > 0 {
		i.text = append(i.text, '\n')
	}
	i.space = false
}

func (i *inline) take() string {
	s := string(i.text)
	i.text, i.space = i.text[:0], false
	return s
}
