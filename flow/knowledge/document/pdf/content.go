package pdf

import (
	"io"
	"math"
	"strings"

	"github.com/leat-ai/leat/base/fault"
)

// Page finds the text of a page, counted from 0.
func (f *File) Page(n int) (Page, error) {
	d, err := f.resolve(value{kind: kindRef, ref: f.pages[n]})
	if err != nil {
		return Page{}, err
	}
	box, err := f.inherited(d, "MediaBox")
	if err != nil {
		return Page{}, err
	}
	turned, err := f.inherited(d, "Rotate")
	if err != nil {
		return Page{}, err
	}
	resources, err := f.inherited(d, "Resources")
	if err != nil {
		return Page{}, err
	}
	c := &content{f: f, turned: ((turned.int()/90)%4 + 4) % 4, state: state{ctm: identity, scale: 1}}
	if len(box.array) == 4 {
		c.page.Width, c.page.Height = box.array[2].num-box.array[0].num, box.array[3].num-box.array[1].num
		if c.turned%2 == 1 {
			c.page.Width, c.page.Height = c.page.Height, c.page.Width
		}
	}
	contents, err := f.get(d, "Contents")
	if err != nil {
		return Page{}, err
	}
	parts := contents.array
	if contents.kind == kindDict {
		parts = []value{contents}
	}
	readers := make([]io.Reader, 0, 2*len(parts))
	for _, p := range parts {
		if p, err = f.resolve(p); err != nil {
			return Page{}, err
		}
		r, err := f.decoded(p)
		if err != nil {
			return Page{}, err
		}
		readers = append(readers, r, strings.NewReader("\n"))
	}
	if err := c.run(io.MultiReader(readers...), resources, 0); err != nil {
		return Page{}, err
	}
	c.state, c.stack, c.artifact = state{ctm: identity, scale: 1}, nil, 0
	return c.page, c.annotations(d)
}

// mostAnnotations bounds the fields of a form that are read on a page.
const mostAnnotations = 2000

// annotations shows what is written into the fields of forms and in free text
// upon the page (12.5.5).
func (c *content) annotations(page value) error {
	list, err := c.f.get(page, "Annots")
	if err != nil {
		return err
	}
	for i, a := range list.array {
		if a, err = c.f.resolve(a); err != nil || i >= mostAnnotations {
			return err
		}
		const hidden = 2
		if kind := a.dict["Subtype"].str; kind != "Widget" && kind != "FreeText" || a.dict["F"].int()&hidden != 0 {
			continue
		}
		appearance, err := c.f.get(a, "AP")
		if err != nil {
			return err
		}
		form, err := c.f.get(appearance, "N")
		if err != nil {
			return err
		}
		if form.data == 0 { // one of several, by the state of the field
			if form, err = c.f.resolve(form.dict[a.dict["AS"].str]); err != nil {
				return err
			}
		}
		rect, err := c.f.get(a, "Rect")
		if err != nil {
			return err
		}
		if form.data == 0 || len(rect.array) != 4 {
			continue
		}
		c.state.ctm = matrix{1, 0, 0, 1, min(rect.array[0].num, rect.array[2].num), min(rect.array[1].num, rect.array[3].num)}
		c.page.Fields++
		if err := c.form(form, 0); err != nil {
			return err
		}
	}
	return nil
}

// inherited is an attribute of a page or of a node above it (7.7.3.4).
func (f *File) inherited(d value, key string) (value, error) {
	for range mostNested {
		v, err := f.get(d, key)
		if err != nil || v.kind != kindNull {
			return v, err
		}
		if d, err = f.get(d, "Parent"); err != nil || d.kind != kindDict {
			return value{}, err
		}
	}
	return value{}, nil
}

// matrix is a transformation: [a b c d e f] as in 8.3.3.
type matrix [6]float64

var identity = matrix{1, 0, 0, 1, 0, 0}

// times is the transformation m and then n.
func (m matrix) times(n matrix) matrix {
	return matrix{
		m[0]*n[0] + m[1]*n[2], m[0]*n[1] + m[1]*n[3],
		m[2]*n[0] + m[3]*n[2], m[2]*n[1] + m[3]*n[3],
		m[4]*n[0] + m[5]*n[2] + n[4], m[4]*n[1] + m[5]*n[3] + n[5],
	}
}

// state is the graphics state, as far as text needs it.
type state struct {
	ctm                        matrix
	font                       *font
	size, charSpace, wordSpace float64
	scale, leading, rise       float64
}

// content runs the operators of a page (9.4).
type content struct {
	f         *File
	page      Page
	turned    int
	state     state
	stack     []state
	text      matrix
	line      matrix
	resources value
	artifact  int // marked content that is open within one that is no text of the page
	forms     int // that were run on the page
	args      []value
}

// The bounds of a page's content.
const (
	mostSaved = 512
	mostForms = 2000
	deepForms = 12
	mostArgs  = 64
)

func (c *content) run(r io.Reader, resources value, depth int) error {
	before := c.resources
	c.resources = resources
	defer func() { c.resources = before }()
	l := newLexer(c.f.ctx, r, false)
	c.args = c.args[:0]
	for {
		l.values = 0
		v := l.value(0)
		switch {
		case v.kind == kindEnd && v.str == "":
			return l.failed
		case v.kind == kindEnd:
		case v.kind != kindOperator:
			if len(c.args) < mostArgs {
				c.args = append(c.args, v)
			}
		case v.str == "BI":
			c.page.Images++
			skipImage(l)
			c.args = c.args[:0]
		default:
			if err := c.operator(v.str, depth); err != nil {
				return err
			}
			c.args = c.args[:0]
		}
		if len(c.page.Runs) > c.f.limits.Runs {
			return fault.New(fault.TooLarge, "a page has more than %d pieces of text", c.f.limits.Runs)
		}
	}
}

// skipImage moves past an inline image: to the word EI between space (8.9.7).
func skipImage(l *lexer) {
	var last [3]byte
	for {
		c, ok := l.next()
		if !ok {
			return
		}
		if isSpace(last[0]) && last[1] == 'E' && last[2] == 'I' && isSpace(c) {
			return
		}
		last[0], last[1], last[2] = last[1], last[2], c
	}
}

// num is an argument from the end: num(0) is the last.
func (c *content) num(fromEnd int) float64 {
	if i := len(c.args) - 1 - fromEnd; i >= 0 {
		return c.args[i].num
	}
	return 0
}

func (c *content) str() string {
	if n := len(c.args); n > 0 {
		return c.args[n-1].str
	}
	return ""
}

func (c *content) matrix() matrix {
	return matrix{c.num(5), c.num(4), c.num(3), c.num(2), c.num(1), c.num(0)}
}

func (c *content) operator(op string, depth int) error {
	s := &c.state
	switch op {
	case "q":
		if len(c.stack) < mostSaved {
			c.stack = append(c.stack, *s)
		}
	case "Q":
		if n := len(c.stack); n > 0 {
			*s = c.stack[n-1]
			c.stack = c.stack[:n-1]
		}
	case "cm":
		s.ctm = c.matrix().times(s.ctm)
	case "Do":
		return c.object(c.str(), depth)
	case "BDC", "BMC":
		if c.artifact > 0 || len(c.args) > 0 && c.args[0].isName("Artifact") {
			c.artifact++
		}
	case "EMC":
		c.artifact = max(0, c.artifact-1)
	case "Tf":
		s.size = c.num(0)
		if len(c.args) >= 2 {
			return c.setFont(c.args[len(c.args)-2].str)
		}
	default:
		c.textOperator(op)
	}
	return nil
}

func (c *content) textOperator(op string) {
	s := &c.state
	switch op {
	case "BT":
		c.text, c.line = identity, identity
	case "Tc":
		s.charSpace = c.num(0)
	case "Tw":
		s.wordSpace = c.num(0)
	case "Tz":
		s.scale = c.num(0) / 100
	case "TL":
		s.leading = c.num(0)
	case "Ts":
		s.rise = c.num(0)
	case "Td":
		c.move(c.num(1), c.num(0))
	case "TD":
		s.leading = -c.num(0)
		c.move(c.num(1), c.num(0))
	case "T*":
		c.move(0, -s.leading)
	case "Tm":
		c.text = c.matrix()
		c.line = c.text
	case "Tj":
		c.show(c.str())
	case "'":
		c.move(0, -s.leading)
		c.show(c.str())
	case "\"":
		s.wordSpace, s.charSpace = c.num(2), c.num(1)
		c.move(0, -s.leading)
		c.show(c.str())
	case "TJ":
		if n := len(c.args); n > 0 {
			c.showAll(c.args[n-1].array)
		}
	}
}

func (c *content) move(x, y float64) {
	c.line = matrix{1, 0, 0, 1, x, y}.times(c.line)
	c.text = c.line
}

func (c *content) setFont(name string) error {
	fonts, err := c.f.get(c.resources, "Font")
	if err != nil {
		return err
	}
	c.state.font, err = c.f.loadFont(fonts.dict[name])
	return err
}

// object runs a form, which is content within content (8.10), or counts an image.
func (c *content) object(name string, depth int) error {
	objects, err := c.f.get(c.resources, "XObject")
	if err != nil {
		return err
	}
	form, err := c.f.resolve(objects.dict[name])
	if err != nil {
		return err
	}
	if form.dict["Subtype"].isName("Image") {
		c.page.Images++
	}
	if !form.dict["Subtype"].isName("Form") {
		return nil
	}
	return c.form(form, depth)
}

func (c *content) form(form value, depth int) error {
	c.forms++
	if depth >= deepForms || c.forms > mostForms {
		return nil
	}
	resources, err := c.f.get(form, "Resources")
	if err != nil {
		return err
	}
	if resources.kind != kindDict {
		resources = c.resources
	}
	body, err := c.f.decoded(form)
	if err != nil {
		return err
	}
	saved, stack, text, line, artifact := c.state, c.stack, c.text, c.line, c.artifact
	m, err := c.f.get(form, "Matrix")
	if err != nil {
		return err
	}
	if len(m.array) == 6 {
		var t matrix
		for i := range t {
			t[i] = m.array[i].num
		}
		c.state.ctm = t.times(c.state.ctm)
	}
	c.stack = nil
	err = c.run(body, resources, depth+1)
	c.state, c.stack, c.text, c.line, c.artifact = saved, stack, text, line, artifact
	return err
}

// showAll shows strings with moves between them; a move as wide as a space is
// one.
func (c *content) showAll(parts []value) {
	for _, p := range parts {
		if p.kind == kindNumber {
			c.text = matrix{1, 0, 0, 1, -p.num / 1000 * c.state.size * c.state.scale, 0}.times(c.text)
			continue
		}
		c.show(p.str)
	}
}

// wideSpace is the space between characters, in units of the size, from which
// on each character is a run of its own: it may stand in the next column.
const wideSpace = 0.2

// noSpace is the width, in units of the size, below which a space is not seen.
const noSpace = 0.06

// show shows a string at the place of the text and moves that place on.
func (c *content) show(s string) {
	st := &c.state
	if st.font == nil || s == "" {
		return
	}
	apart := st.charSpace > wideSpace*st.size
	var text strings.Builder
	start := c.text
	flush := func(after float64) {
		at := c.shown(start)
		c.text = matrix{1, 0, 0, 1, after, 0}.times(c.text)
		if text.Len() > 0 && c.artifact == 0 {
			c.add(text.String(), at, c.shown(c.text))
		}
		text.Reset()
	}
	moved := 0.0
	st.font.glyphs(s, func(g glyph) {
		w := g.width*st.size + st.charSpace
		if g.space {
			w += st.wordSpace
		}
		switch {
		case !g.known:
			c.page.Unknown++
		case g.text == " " && w < noSpace*st.size: // made narrow until it is none
		default:
			text.WriteString(g.text)
		}
		moved += w * st.scale
		if apart {
			flush(g.width * st.size * st.scale)
			c.text = matrix{1, 0, 0, 1, moved - g.width*st.size*st.scale, 0}.times(c.text)
			start, moved = c.text, 0
		}
	})
	flush(moved)
}

// shown is the place of the text on the page.
func (c *content) shown(text matrix) matrix {
	st := &c.state
	return matrix{st.size * st.scale, 0, 0, st.size, 0, st.rise}.times(text).times(st.ctm)
}

// add notes a run, seen along its own direction.
func (c *content) add(text string, at, after matrix) {
	size := math.Hypot(at[2], at[3])
	if !(size > 0.1 && size < 1e4) || !finite(at) || !finite(after) {
		return
	}
	quarters := int(math.Round(math.Atan2(at[1], at[0])/(math.Pi/2))) & 3
	x, y := turn(at[4], at[5], quarters)
	x1, _ := turn(after[4], after[5], quarters)
	r := Run{Text: text, X: x, Y: y, Width: x1 - x, Size: size, Bold: c.state.font.bold, Mono: c.state.font.mono, Turned: (quarters + c.turned) & 3}
	c.page.Runs = append(c.page.Runs, r)
}

func finite(m matrix) bool {
	for _, v := range m {
		if math.IsNaN(v) || math.Abs(v) > 1e7 {
			return false
		}
	}
	return true
}

// turn is a place as seen after turning the page back by quarter turns.
func turn(x, y float64, quarters int) (float64, float64) {
	switch quarters {
	case 1:
		return y, -x
	case 2:
		return -x, -y
	case 3:
		return -y, x
	}
	return x, y
}
