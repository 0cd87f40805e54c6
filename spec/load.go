package spec

import (
	"bytes"
	"io/fs"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/leat-ai/leat/base/fault"
)

// Options say how a project is read.
type Options struct {
	// Environment whose vars ${name} stands for. When empty and the project
	// has exactly one Environment, that one.
	Environment string
}

// Load reads and checks the project in a folder. See LoadFS.
func Load(dir string, opts Options) (*Project, error) {
	return LoadFS(os.DirFS(dir), opts)
}

// LoadFS reads every .yaml and .yml file below the root of fsys, hidden files
// and folders left out, and checks all of it: the error holds every mistake,
// each a fault with its place (file:line:column) and mostly a hint.
func LoadFS(fsys fs.FS, opts Options) (*Project, error) {
	names, err := files(fsys)
	if err != nil {
		return nil, err
	}
	l := &loader{}
	for _, name := range names {
		l.file(fsys, name)
	}
	return l.load(opts)
}

// LoadFiles checks a project that was sent as the text of its files by their
// paths, as ReadFiles gives them. Names that LoadFS would not read are left
// out.
func LoadFiles(files map[string]string, opts Options) (*Project, error) {
	if len(files) > maxFiles {
		return nil, fault.New(fault.TooLarge, "the project has more than %d resource files", maxFiles)
	}
	l := &loader{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		hidden := strings.HasPrefix(name, ".") || strings.Contains(name, "/.")
		if isResourceFile(name) && !hidden {
			l.text(name, []byte(files[name]))
		}
	}
	return l.load(opts)
}

// ReadFiles reads the resource files of a folder, to send them: their text by
// their paths with slashes. It checks only what LoadFiles could not.
func ReadFiles(dir string) (map[string]string, error) {
	fsys := os.DirFS(dir)
	names, err := files(fsys)
	if err != nil {
		return nil, err
	}
	var bad fault.List
	all := make(map[string]string, len(names))
	for _, name := range names {
		data, fail := read(fsys, name)
		if fail == nil {
			_, fail = plain(data)
		}
		if fail != nil {
			bad.Add(fail.At("%s", name))
			continue
		}
		all[name] = string(data)
	}
	return all, bad.Err()
}

func (l *loader) load(opts Options) (*Project, error) {
	l.decode(opts.Environment)
	l.resolve()
	if err := l.mistakes.err(); err != nil {
		return nil, err
	}
	return l.project(), nil
}

// loader reads a project in passes, each over all documents, so that what one
// document says of another can be checked.
type loader struct {
	documents []*document
	checked   []checked
	vars      *vars
	mistakes  mistakes
}

// checked is a document that could be read as its kind, with or without
// mistakes.
type checked struct {
	*checker
	spec Spec
}

func newDocument(file string) *document {
	return &document{file: file, places: map[string]Position{}, starts: map[string]int{}, failed: map[string]bool{}, strange: map[string]bool{}}
}

func scalarNode(text string) *yaml.Node {
	var n yaml.Node
	n.SetString(text)
	n.Tag = ""
	n.Tag = n.ShortTag()
	return &n
}

// file reads the documents of a file.
func (l *loader) file(fsys fs.FS, name string) {
	data, bad := read(fsys, name)
	if bad != nil {
		l.mistakes.put(Position{name, 1, 1}, bad)
		return
	}
	l.text(name, data)
}

func (l *loader) text(name string, data []byte) {
	data, bad := plain(data)
	if bad != nil {
		l.mistakes.put(Position{name, 1, 1}, bad)
		return
	}
	for _, part := range split(data) {
		if len(l.documents) >= maxDocuments {
			l.mistakes.add(Position{name, part.before + 1, 1}, fault.TooLarge, "the project has more than %d resources", maxDocuments)
			return
		}
		body, bad := parse(name, part)
		if bad != nil {
			l.mistakes.put(bad.at, bad.err)
			continue
		}
		if body == nil {
			continue
		}
		d := newDocument(name)
		d.body, d.before = body, part.before
		d.lines = bytes.Split(part.text, []byte("\n"))
		if d.inspect(body, 0, &l.mistakes) && d.head(&l.mistakes) {
			l.documents = append(l.documents, d)
		}
	}
}

// head reads the kind and the name of a document.
func (d *document) head(m *mistakes) bool {
	if d.body.Kind != yaml.MappingNode {
		m.add(d.at(d.body), fault.Invalid, "a resource is a mapping, this is %s", shape(d.body)).
			Hint("begin it with a line like kind: Source")
		return false
	}
	var kind *yaml.Node
	for i := 0; i < len(d.body.Content); i += 2 {
		switch value := d.body.Content[i+1]; d.body.Content[i].Value {
		case "kind":
			kind = value
		case "name":
			d.name = value.Value
		}
	}
	d.places[""] = d.at(d.body)
	if kind == nil {
		m.add(d.at(d.body), fault.Invalid, "the resource has no kind").Hint("add a line like kind: Source; the kinds are %s", join(kindNames()))
		return false
	}
	d.kind = Kind(kind.Value)
	if New(d.kind) != nil {
		return true
	}
	m.add(d.at(kind), fault.Invalid, "there is no kind %s", quote([]byte(kind.Value))).Hint("%s", meant(kind.Value, kindNames()))
	return false
}

func kindNames() []string {
	var names []string
	for _, k := range Kinds() {
		names = append(names, string(k))
	}
	return names
}

// decode fills and checks the specs: Environments first, because the others
// are read with the variables of one.
func (l *loader) decode(environment string) {
	var environments []*Environment
	for _, d := range l.documents {
		if d.kind == KindEnvironment {
			s := l.document(d, nil)
			environments = append(environments, s.(*Environment))
		}
	}
	l.vars = chooseVars(environments, environment, &l.mistakes)
	for _, d := range l.documents {
		if d.kind != KindEnvironment {
			l.document(d, l.vars)
		}
	}
}

func (l *loader) document(d *document, v *vars) Spec {
	s := New(d.kind)
	dec := &decoder{document: d, mistakes: &l.mistakes, vars: v}
	dec.fields(d.body, reflect.ValueOf(s).Elem(), "")
	c := &checker{document: d, mistakes: &l.mistakes}
	c.resource(s)
	l.checked = append(l.checked, checked{c, s})
	return s
}

func (l *loader) project() *Project {
	p := &Project{Environment: l.vars.environment}
	for _, x := range l.checked {
		p.Resources = append(p.Resources, resource(x.spec, x.places[""]))
	}
	sorted(p.Resources)
	return p
}
