package spec

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/leat-ai/leat/base/fault"
)

// Bounds of a project. People write these files; a larger one was not written
// by people, and is refused before it costs anything.
const (
	maxFile      = 1 << 20 // bytes of one file
	maxFiles     = 1000    // files of a project
	maxDocuments = 10_000  // resources of a project
	maxDepth     = 100     // nesting of one document
)

// document is one YAML document as nodes, with what was learned of it.
type document struct {
	file   string
	lines  [][]byte // its text
	before int      // lines of the file before it
	body   *yaml.Node
	kind   Kind
	name   string

	places  map[string]Position // of every field that is written, by path
	starts  map[string]int      // columns where text begins that stands letter for letter on one line
	failed  map[string]bool     // paths that have a mistake already
	strange map[string]bool     // paths of mappings that hold an unknown field
}

func (d *document) at(n *yaml.Node) Position {
	return Position{File: d.file, Line: max(n.Line, 1), Column: max(n.Column, 1)}
}

// remember notes where a text begins, if it stands letter for letter on its
// line: then a column inside it is a column of the file.
func (d *document) remember(n *yaml.Node, path string) {
	const longest = 1000 // characters of a line: people see further ones no better
	at := n.Line - d.before - 1
	if at < 0 || at >= len(d.lines) || len(d.lines[at]) > longest || n.Value == "" {
		return
	}
	line := []rune(string(d.lines[at]))
	if n.Column > len(line) {
		return
	}
	rest, start := string(line[n.Column-1:]), n.Column
	if rest[0] == '"' || rest[0] == '\'' {
		rest, start = rest[1:], start+1
	}
	if strings.HasPrefix(rest, n.Value) {
		d.starts[path] = start
	}
}

// files lists the resource files of a project in the order of their names.
func files(fsys fs.FS) ([]string, error) {
	var found []string
	err := fs.WalkDir(fsys, ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name != "." && strings.HasPrefix(e.Name(), "."):
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		case e.IsDir() || !isResourceFile(name):
			return nil
		}
		found = append(found, name)
		if len(found) > maxFiles {
			return fault.New(fault.TooLarge, "the folder has more than %d resource files", maxFiles).
				Hint("is it the folder of one project?")
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.NotFound, "the project folder does not exist").Because(err).
			Hint("create one with: leat init")
	}
	var known *fault.Error
	if err != nil && !errors.As(err, &known) {
		return nil, fault.Wrap(err, fault.Unavailable, "the project folder cannot be read")
	}
	return found, err
}

func isResourceFile(name string) bool {
	ext := strings.ToLower(path.Ext(name))
	return ext == ".yaml" || ext == ".yml"
}

// read gives the bytes of a file, never more than one beyond its bound.
func read(fsys fs.FS, name string) ([]byte, *fault.Error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "the file cannot be opened").Because(err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() {
		return nil, fault.New(fault.Invalid, "this is not a regular file")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fault.New(fault.Unavailable, "the file cannot be read").Because(err)
	}
	return data, nil
}

// plain checks that the bytes of a file are text of a bounded size, and takes
// off a byte order mark.
func plain(data []byte) ([]byte, *fault.Error) {
	switch {
	case len(data) > maxFile:
		return nil, fault.New(fault.TooLarge, "the file is larger than 1 MiB").
			Hint("resource files are written by people; data belongs beside them")
	case !utf8.Valid(data):
		return nil, fault.New(fault.Invalid, "the file is not UTF-8 text").Hint("save it as UTF-8")
	}
	return bytes.TrimPrefix(data, []byte("\ufeff")), nil
}

// chunk is the text of one document and the lines before it.
type chunk struct {
	text   []byte
	before int
}

// split cuts a file at its document markers, so that a mistake of grammar in
// one document does not hide the mistakes of the others. YAML allows a line
// that begins with "---" nowhere else.
func split(data []byte) []chunk {
	var chunks []chunk
	start, before, line := 0, 0, 0
	for at := 0; at < len(data); line++ {
		end := len(data)
		if i := bytes.IndexByte(data[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		if marker(data[at:end]) {
			if at > start {
				chunks = append(chunks, chunk{data[start:at], before})
			}
			start, before = at, line
		}
		at = end
	}
	return append(chunks, chunk{data[start:], before})
}

func marker(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, []byte("---"))
	return ok && (len(rest) == 0 || bytes.ContainsRune([]byte(" \t\r\n"), rune(rest[0])))
}

// parse reads one chunk. It gives nil for an empty one.
func parse(file string, c chunk) (n *yaml.Node, m *mistake) {
	defer func() {
		// The parser handles hostile bytes with care, but it is not ours: a
		// panic of it is a mistake in the file, not the end of the process.
		if r := recover(); r != nil {
			n, m = nil, &mistake{Position{file, c.before + 1, 1}, fault.New(fault.Invalid, "this is not readable as YAML")}
		}
	}()
	if tooDeep(c.text) {
		return nil, &mistake{Position{file, c.before + 1, 1}, fault.New(fault.TooLarge, "the document is nested deeper than %d levels", maxDepth)}
	}
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(c.text))
	if err := dec.Decode(&doc); err == io.EOF {
		return nil, nil
	} else if err != nil {
		return nil, grammar(file, c, err)
	}
	if len(doc.Content) == 0 || doc.Content[0].Tag == "!!null" && doc.Content[0].Value == "" {
		return nil, nil
	}
	shift(&doc, c.before, 0)
	return doc.Content[0], nil
}

// tooDeep bounds the nesting of brackets and of list dashes before the parser
// builds anything of them. It counts without understanding quotes, so it may
// only be an upper bound: the exact check is made on the nodes.
func tooDeep(text []byte) bool {
	const most = 20 * maxDepth
	brackets, dashes := 0, 0
	for _, c := range text {
		switch c {
		case '[', '{':
			brackets++
		case ']', '}':
			brackets--
		case '-', '?', ':':
			dashes++
		case ' ', '\t':
		default:
			dashes = 0
		}
		if brackets > most || dashes > most {
			return true
		}
	}
	return false
}

// shift moves nodes down by the lines before their document.
func shift(n *yaml.Node, lines, depth int) {
	n.Line += lines
	if depth > 2*maxDepth {
		return // refused by inspect before anybody reads its line
	}
	for _, c := range n.Content {
		shift(c, lines, depth+1)
	}
}

// lineOf finds the line in the parser's text: it has no other way to say it.
var lineOf = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

func grammar(file string, c chunk, err error) *mistake {
	line, text := 1, err.Error()
	if m := lineOf.FindStringSubmatch(text); m != nil {
		if n, convErr := strconv.Atoi(m[1]); convErr == nil {
			line = n
		}
		text = m[2]
	}
	advice := "look at the indentation and at quotes near this line"
	if strings.Contains(text, "cannot start any token") {
		advice = "put a value that begins with @, %, ` or a tab in quotes; indent with spaces"
	}
	if strings.Contains(text, "mapping values are not allowed") {
		advice = `put a value that has ": " in it in quotes`
	}
	return &mistake{Position{file, c.before + line, 1},
		fault.New(fault.Invalid, "this is not readable as YAML: %s", text).Hint("%s", advice)}
}

// inspect refuses what the language leaves out of YAML and tells whether the
// document may be read on.
func (d *document) inspect(n *yaml.Node, depth int, m *mistakes) bool {
	if depth > maxDepth {
		m.add(d.at(n), fault.TooLarge, "the document is nested deeper than %d levels", maxDepth)
		return false
	}
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		m.add(d.at(n), fault.Unsupported, "anchors and aliases (&name, *name) are not part of the language").
			Hint("write the value out, put it in quotes, or use ${name} with the vars of an Environment")
		return false
	}
	if n.Style&yaml.TaggedStyle != 0 {
		m.add(d.at(n), fault.Unsupported, "the tag %s is not part of the language", quote([]byte(n.Tag))).
			Hint("leave it out: the field says what type its value has")
		return false
	}
	ok := true
	for _, c := range n.Content {
		ok = d.inspect(c, depth+1, m) && ok
	}
	if n.Kind == yaml.MappingNode {
		ok = d.inspectKeys(n, m) && ok
	}
	return ok
}

func (d *document) inspectKeys(n *yaml.Node, m *mistakes) bool {
	ok, seen := true, make(map[string]int, len(n.Content)/2)
	for i := 0; i < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode {
			m.add(d.at(key), fault.Invalid, "the name of a field is text, this is %s", shape(key)).
				Hint("put {...} in quotes if it is meant as text")
			ok = false
			continue
		}
		if line, twice := seen[key.Value]; twice {
			m.add(d.at(key), fault.Invalid, "%s is given twice", quote([]byte(key.Value))).
				Hint("the first one is in line %d; keep one of them", line)
		}
		seen[key.Value] = key.Line
	}
	return ok
}

// shape names what a node is, for sentences.
func shape(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!float" && strings.ContainsAny(n.Value, "nN"):
		return n.Value + ", which is not finite"
	case n.Tag == "!!int" || n.Tag == "!!float":
		return "the number " + n.Value
	case n.Tag == "!!bool":
		return n.Value
	case n.Tag == "!!null":
		return "nothing"
	}
	return "the text " + quote([]byte(n.Value))
}
