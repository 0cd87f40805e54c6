package spec

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/leat-ai/leat/base/fault"
)

// TestHostile reads files made to cost more than they are worth. Each is
// refused; that it is refused fast shows in the time limit of the test run.
func TestHostile(t *testing.T) {
	const deep = 100_000
	bomb := "kind: Model\nname: m\na: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'n'; c++ {
		bomb += fmt.Sprintf("%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", c, c, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1)
	}
	var staircase strings.Builder
	for i := range 1300 {
		staircase.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	full := func(part string) string { return strings.Repeat(part, maxFile/len(part)) }
	for name, text := range map[string]string{
		"brackets":        "kind: Model\nname: " + strings.Repeat("[", deep),
		"closed brackets": "kind: Model\nname: " + strings.Repeat("[", deep) + strings.Repeat("]", deep),
		"braces":          "kind: Model\nname: " + strings.Repeat("{a: ", deep) + strings.Repeat("}", deep),
		"dashes":          "kind: Model\ntags: \n" + strings.Repeat("- ", deep) + "x",
		"questions":       strings.Repeat("? ", deep) + "x",
		"staircase":       staircase.String(),
		"just too deep":   "kind: Model\nname: " + strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1),
		"alias bomb":      bomb,
		"merge keys":      "kind: Model\nname: m\n<<: {owner: x}\n",
		"cycle":           "kind: Model\nname: &a\n  x: *a\n",
		"huge":            "kind: Model\nname: m\ndescription: " + strings.Repeat("x", maxFile),
		"documents":       full("---\nx\n"),
		"resources":       full("---\nkind: Model\nname: m\n"),
		"unknown fields":  "kind: Model\nname: m\n" + numbered("f%d: 1\n", 60_000),
		"many bad names":  "kind: Endpoint\nname: e\nmodel: m\nfeatures: [" + numbered("v%d, ", 60_000) + "]",
		"many wrong names": numbered("kind: Model\nname: m%d\n---\n", 9000) +
			"kind: Endpoint\nname: e\nmodel: m\n---\nkind: Pipeline\nname: p\nsteps:\n" + numbered("- deploy: {endpoint: f%d}\n", 20_000),
		"bad expressions": "kind: Source\nname: s\nfrom: x\nexpect: [" + numbered("a +* %d, ", 60_000) + "]",
		"long key":        "kind: Model\n" + strings.Repeat("k", 500_000) + ": 1\n",
		"quotes":          "kind: Model\nname: " + full(`"\x41`),
		"comments":        "kind: Model\nnmae: x\n" + full("# c\n")[:maxFile/2],
		"colons":          full(": "),
		"nul":             "kind: Model\nname: \x00",
		"not utf-8":       "kind: Model\nname: \xff\xfe",
		"utf-16":          "\xff\xfek\x00i\x00n\x00d\x00",
		"binary":          string([]byte{0x7f, 'E', 'L', 'F', 0, 0, 0, 0x90}),
		"directive":       "%YAML 9.9\n---\nkind: Model\nname: m\n",
		"variables":       "kind: Model\nname: m\ndescription: " + strings.Repeat("${a}", 100_000),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := LoadFS(fstest.MapFS{"x.yaml": {Data: []byte(text)}}, Options{})
			if err == nil {
				t.Fatal("it was accepted")
			}
			count := 0
			fault.Each(err, func(err error) {
				count++
				if size := len(err.Error()) + len(fault.HintOf(err)); size > 2000 {
					t.Errorf("a mistake is told in %d bytes", size)
				}
				if kind := fault.KindOf(err); kind == fault.Internal {
					t.Errorf("a bad file is called a defect of ours: %v", err)
				}
			})
			if count > mostMistakes+1 {
				t.Errorf("%d mistakes were shown", count)
			}
		})
	}
}

func numbered(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func TestTooManyFiles(t *testing.T) {
	fsys := fstest.MapFS{}
	for i := range maxFiles + 1 {
		fsys[fmt.Sprintf("f%d.yaml", i)] = &fstest.MapFile{Data: []byte("kind: Model\nname: m\n")}
	}
	if _, err := LoadFS(fsys, Options{}); !fault.Is(err, fault.TooLarge) {
		t.Errorf("%v", err)
	}
}

// TestWhatIsRead shows which files of a folder belong to the project.
func TestWhatIsRead(t *testing.T) {
	model := func(name string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte("\ufeffkind: Model\r\nname: " + name + "\r\n")}
	}
	p, err := LoadFS(fstest.MapFS{
		"b.yaml": model("b"), "a.yml": model("a"), "deep/er/c.YAML": model("c"),
		".hidden.yaml": model("h"), ".leat/state.yaml": model("s"), ".git/x.yaml": model("g"),
		"readme.md": model("no"), "empty.yaml": {}, "comment.yaml": {Data: []byte("# nothing\n---\n---\n")},
	}, Options{})
	if err != nil {
		t.Fatal(explain(err))
	}
	var ids []string
	for _, r := range p.Resources {
		ids = append(ids, r.ID())
	}
	if got := strings.Join(ids, " "); got != "Model/a Model/b Model/c" {
		t.Errorf("read %s", got)
	}
	if at := p.Resources[2].At.String(); at != "deep/er/c.YAML:1:1" {
		t.Errorf("at %s", at)
	}
}

// TestSentFilesAreTheFolder proves that a project means the same when its
// files are sent.
func TestSentFilesAreTheFolder(t *testing.T) {
	files, err := ReadFiles("testdata/good")
	if err != nil {
		t.Fatal(err)
	}
	files[".leat/state.yaml"], files["notes.md"] = "kind: Nothing", "kind: Nothing"
	sent, err := LoadFiles(files, Options{})
	if err != nil {
		t.Fatal(explain(err))
	}
	read, err := Load("testdata/good", Options{})
	if err != nil {
		t.Fatal(explain(err))
	}
	if plan := Diff(read.Resources, sent.Resources); !plan.Empty() || read.Resources[0].At != sent.Resources[0].At {
		t.Errorf("%s%v and %v", plan, read.Resources[0].At, sent.Resources[0].At)
	}
	if _, err := LoadFiles(map[string]string{"x.yaml": strings.Repeat("#", maxFile+1)}, Options{}); !fault.Is(err, fault.TooLarge) {
		t.Errorf("a huge file was sent: %v", err)
	}
}

func TestMistakesInCodeHaveTheirPath(t *testing.T) {
	_, err := Of(&Endpoint{Name: "e", Limits: Limits{Per: "planet"}})
	if got := explain(err); !strings.Contains(got, "Endpoint e: model: ") || !strings.Contains(got, "Endpoint e: limits.per: ") {
		t.Error(got)
	}
}

func TestNoFolder(t *testing.T) {
	if _, err := Load(filepath.Join(t.TempDir(), "none"), Options{}); !fault.Is(err, fault.NotFound) {
		t.Errorf("%v", err)
	}
	dir := t.TempDir()
	if err := os.Symlink("/dev/zero", filepath.Join(dir, "x.yaml")); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir, Options{}); err == nil {
		t.Error("an endless device was read as a resource file")
	}
}

func TestEnvironments(t *testing.T) {
	fsys := fstest.MapFS{"x.yaml": {Data: []byte(`
kind: Environment
name: dev
vars: {where: here, rows: 7}
---
kind: Environment
name: prod
vars: {where: "there\nkind: Source", rows: 9}
---
kind: Model
name: m
description: $${where} is ${where}
---
kind: Endpoint
name: e
model: m
limits: {max_rows: "${rows}"}
`)}}
	if _, err := LoadFS(fsys, Options{}); err == nil || !strings.Contains(explain(err), "dev or prod") {
		t.Errorf("which environment is meant was not asked: %v", err)
	}
	if _, err := LoadFS(fsys, Options{Environment: "pord"}); err == nil || !strings.Contains(explain(err), `did you mean "prod"?`) {
		t.Errorf("a misspelt environment: %v", err)
	}
	p, err := LoadFS(fsys, Options{Environment: "prod"})
	if err != nil {
		t.Fatal(explain(err))
	}
	m, _ := Find[*Model](p.Resources, "m")
	if m.Description != "${where} is there\nkind: Source" {
		t.Errorf("substituted to %q", m.Description)
	}
	if e, _ := Find[*Endpoint](p.Resources, "e"); e.Limits.MaxRows != 9 {
		t.Errorf("a number from a variable is %d", e.Limits.MaxRows)
	}
}

// FuzzLoad proves that no file crashes or stalls reading, that mistakes have
// their place, and that what was accepted is written and read back the same.
func FuzzLoad(f *testing.F) {
	samples, err := filepath.Glob("testdata/*/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, sample := range samples {
		data, err := os.ReadFile(sample)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		for _, part := range bytes.Split(data, []byte("---\n")) {
			f.Add(part)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := LoadFS(fstest.MapFS{"x.yaml": {Data: data}}, Options{})
		if err != nil {
			if explain(err) == "" {
				t.Fatal("a mistake without words")
			}
			return
		}
		var specs []Spec
		for _, r := range p.Resources {
			specs = append(specs, r.Spec)
		}
		text := Format(specs...)
		again, err := LoadFS(fstest.MapFS{"x.yaml": {Data: text}}, Options{})
		if err != nil {
			t.Fatalf("%v\nwritten as\n%s", err, text)
		}
		if plan := Diff(p.Resources, again.Resources); !plan.Empty() {
			t.Fatalf("%s\nwritten as\n%s", plan, text)
		}
	})
}
