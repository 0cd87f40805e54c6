package house

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const (
	root   = "../.."
	module = "github.com/leat-ai/leat/"
)

// source is a Go file of the tree that is no test.
type source struct {
	folder  string // "flow/train", with slashes
	file    string // "flow/train/train.go"
	parsed  *ast.File
	set     *token.FileSet
	imports []string
}

// sources parses every Go file once; tests and hidden folders are left out.
var sources = sync.OnceValues(func() ([]source, error) {
	var all []source
	set := token.NewFileSet()
	err := filepath.WalkDir(root, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			if name != root && (strings.HasPrefix(e.Name(), ".") || slices.Contains([]string{"testdata", "node_modules", "bin"}, e.Name())) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(set, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		file, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		s := source{file: filepath.ToSlash(file), folder: path.Dir(filepath.ToSlash(file)), parsed: parsed, set: set}
		for _, i := range parsed.Imports {
			target, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			s.imports = append(s.imports, target)
		}
		all = append(all, s)
		return nil
	})
	return all, err
})

func eachSource(t *testing.T, f func(source)) {
	t.Helper()
	all, err := sources()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("only %d files were found", len(all))
	}
	for _, s := range all {
		f(s)
	}
}

// TestArrowsPointDown checks every import inside the house.
func TestArrowsPointDown(t *testing.T) {
	used := make(map[edge]bool)
	eachSource(t, func(s source) {
		for _, target := range s.imports {
			to, inside := strings.CutPrefix(target, module)
			if !inside {
				continue
			}
			wrong := judge(s.folder, to)
			if wrong == "" {
				continue
			}
			if e := (edge{s.folder, to}); exceptions[e] != "" {
				used[e] = true
				continue
			}
			t.Errorf("%s imports %s: %s", s.file, to, wrong)
		}
	})
	for e, reason := range exceptions {
		if !used[e] {
			t.Errorf("the exception %s → %s (%s) is not used: take it out", e.from, e.to, reason)
		}
	}
}

// judge says what is wrong with an import, or "".
func judge(from, to string) string {
	fromTop, fromRest := cut(from)
	toTop, toRest := cut(to)
	switch {
	case slices.Contains(outside, toTop):
		if slices.Contains(outside, fromTop) || strings.HasSuffix(from, "test") {
			return "" // a conformance suite, such as store/blob/blobtest
		}
		return "nothing in the house imports " + toTop
	case slices.Contains(outside, fromTop):
		return ""
	case fromTop != toTop:
		return judgeFloors(fromTop, toTop)
	}
	fromPart, _ := cut(fromRest)
	toPart, _ := cut(toRest)
	switch {
	case fromPart == toPart || fromPart == "" || toPart == "":
		return judgeBackend(from, to)
	case fromTop == "flow":
		return judgeStages(fromPart, toPart)
	case slices.Contains(apart, fromTop):
		return "the parts of " + fromTop + " never import each other"
	}
	return ""
}

func judgeFloors(from, to string) string {
	f, g := floor(from), floor(to)
	switch {
	case f < 0:
		return from + " is on no floor (rules_test.go)"
	case g < 0:
		return to + " is on no floor (rules_test.go)"
	case f == g:
		return "they are neighbours on one floor"
	case f > g:
		return "the arrow points up"
	}
	return ""
}

func floor(folder string) int {
	return slices.IndexFunc(floors, func(line string) bool { return slices.Contains(strings.Fields(line), folder) })
}

func judgeStages(from, to string) string {
	f, g := slices.Index(stages, from), slices.Index(stages, to)
	switch {
	case f < 0 || g < 0:
		return "this is no stage of flow (rules_test.go)"
	case f < g:
		return "a stage imports only stages to its left"
	}
	return ""
}

// judgeBackend keeps a contract of store free of its backends: store/blob
// never imports store/blob/s3.
func judgeBackend(from, to string) string {
	if strings.HasPrefix(from, "store/") && strings.HasPrefix(to, from+"/") {
		return "a contract knows none of its backends; app opens them"
	}
	return ""
}

func cut(folder string) (first, rest string) {
	first, rest, _ = strings.Cut(folder, "/")
	return first, rest
}

// TestJudge proves that the rule says no where it should.
func TestJudge(t *testing.T) {
	for _, e := range []edge{{"base/fault", "spec"}, {"model", "guard/identity"}, {"flow/lake", "flow/train"}, {"pattern/batch", "pattern/realtime"},
		{"store/blob", "store/blob/s3"}, {"spec", "internal/house"}, {"decide", "pattern/batch"}, {"flow/feature", "flow/odd"}, {"odd", "base"}} {
		if judge(e.from, e.to) == "" {
			t.Errorf("%s may import %s", e.from, e.to)
		}
	}
	for _, e := range []edge{{"spec", "base/fault"}, {"flow/train/gbdt", "flow/train"}, {"flow/deploy", "flow/registry"}, {"surface/cli", "surface/client"},
		{"store/blob/s3", "store/blob"}, {"internal/specdoc", "spec"}, {"store/blob/blobtest", "internal/realdata"}, {"app", "store/blob/s3"}, {"decide", "decide/record"}} {
		if wrong := judge(e.from, e.to); wrong != "" {
			t.Errorf("%s may not import %s: %s", e.from, e.to, wrong)
		}
	}
}

// TestDriversStayInTheirFolders checks every import of a third party's driver.
func TestDriversStayInTheirFolders(t *testing.T) {
	eachSource(t, func(s source) {
		if top, _ := cut(s.folder); slices.Contains(outside, top) {
			return
		}
		for _, target := range s.imports {
			for _, d := range drivers {
				if !strings.HasPrefix(target, d.module) {
					continue
				}
				at := func(folder string) bool { return s.folder == folder || strings.HasPrefix(s.folder, folder+"/") }
				if !slices.ContainsFunc(d.folders, at) {
					t.Errorf("%s imports %s, which belongs in %s: %s", s.file, target, strings.Join(d.folders, ", "), d.reason)
				}
			}
		}
	})
}

// TestPackagesSayWhatTheyAre wants an orienting comment and a telling name.
func TestPackagesSayWhatTheyAre(t *testing.T) {
	said := make(map[string]bool)
	eachSource(t, func(s source) {
		said[s.folder] = said[s.folder] || s.parsed.Doc.Text() != ""
		name := s.parsed.Name.Name
		if slices.Contains(vague, name) {
			t.Errorf("package %s in %s: the name says nothing", name, s.file)
		}
		for _, d := range s.parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" && !ast.IsGenerated(s.parsed) {
				t.Errorf("%s has an init function: say in app or backends what happens at start", s.file)
			}
		}
	})
	for folder, ok := range said {
		if !ok {
			t.Errorf("the package in %s has no comment that says what it is, where it stands and what to call first", folder)
		}
	}
}

// TestScreens bounds files and functions to what people can hold in view.
func TestScreens(t *testing.T) {
	eachSource(t, func(s source) {
		if ast.IsGenerated(s.parsed) {
			return
		}
		if lines := s.set.Position(s.parsed.FileEnd).Line; lines > longestFile {
			t.Errorf("%s has %d lines, more than %d", s.file, lines, longestFile)
		}
		for _, d := range s.parsed.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			lines := s.set.Position(f.End()).Line - s.set.Position(f.Pos()).Line + 1
			if id := s.folder + "." + f.Name.Name; lines > longestFunction && longFunctions[id] == "" {
				t.Errorf("%s: %s has %d lines, more than %d", s.file, f.Name.Name, lines, longestFunction)
			}
		}
	})
}

// TestDrawing compares the first code block of docs/architecture.md, which is
// the tree, with the folders that are there.
func TestDrawing(t *testing.T) {
	drawn := drawing(t)
	for folder, later := range drawn {
		info, err := os.Stat(filepath.Join(root, folder))
		there := err == nil && info.IsDir()
		if !there && !later {
			t.Errorf("docs/architecture.md draws %s, which is not there; build it or mark it (later)", folder)
		}
		if there && later && hasGo(t, folder) {
			t.Errorf("docs/architecture.md calls %s later, but it is there", folder)
		}
	}
	present := make(map[string]bool)
	eachSource(t, func(s source) {
		first, rest := cut(s.folder)
		if second, _ := cut(rest); second != "" && !slices.Contains(outside, first) {
			first += "/" + second
		}
		present[first] = true
	})
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	ignored, err := os.ReadFile(filepath.Join(root, ".gitignore"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && !strings.Contains(string(ignored), "/"+e.Name()+"/") {
			present[e.Name()] = true
		}
	}
	for folder := range present {
		if _, ok := drawn[folder]; !ok {
			t.Errorf("%s is there, but docs/architecture.md does not draw it", folder)
		}
	}
}

func hasGo(t *testing.T, folder string) (found bool) {
	eachSource(t, func(s source) {
		found = found || s.folder == folder || strings.HasPrefix(s.folder, folder+"/")
	})
	return found
}

var boxes = regexp.MustCompile(`^( *)((?:[a-z0-9/]+/ +)*[a-z0-9/]+/)(?:  +|$)(.*)$`)

// drawing reads the tree: folder → whether it is marked (later). A line has
// folders, two spaces and what they are; two spaces of indentation are one
// level.
func drawing(t *testing.T) map[string]bool {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "docs/architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(data), "\n```")
	block, _, closed := strings.Cut(after, "\n```")
	if !found || !closed {
		t.Fatal("docs/architecture.md has no code block")
	}
	drawn := make(map[string]bool)
	parent := ""
	for i, line := range strings.Split(block, "\n")[1:] {
		m := boxes.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("line %d of the drawing is no folder with its meaning: %q", i+1, line)
			continue
		}
		for _, name := range strings.Fields(m[2]) {
			name = strings.TrimSuffix(name, "/")
			if m[1] == "" {
				parent = name
			} else {
				name = path.Join(parent, name)
			}
			drawn[name] = strings.Contains(m[3], "(later)")
			if top, rest := cut(name); rest != "" && m[1] == "" {
				drawn[top] = drawn[name] // "cmd/leat/" draws cmd too
			}
		}
		if m[3] == "" {
			t.Errorf("%s", fmt.Sprintf("%s has no meaning in the drawing", m[2]))
		}
	}
	if len(drawn) < 20 {
		t.Fatalf("the drawing has only %d folders", len(drawn))
	}
	return drawn
}
