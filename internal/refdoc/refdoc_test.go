package refdoc

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the generated files anew")

const root = "../.."

// quiet takes away what the environment of whoever tests would put into the
// defaults of flags.
func quiet(t *testing.T) {
	for name := range variables() {
		t.Setenv(name, "")
	}
}

// TestGenerated compares the committed pages with the code.
func TestGenerated(t *testing.T) {
	quiet(t)
	for _, p := range Pages() {
		want, err := p.Write(root)
		if err != nil {
			t.Errorf("%s: %v", p.File, err)
			continue
		}
		file := filepath.Join(root, "docs/reference", p.File)
		if *update {
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("docs/reference/%s is not what the code is now (%v); run: go generate ./internal/refdoc", p.File, err)
		}
	}
}

// TestPagesStandStill writes every page twice: an order that changes from run
// to run would make the comparison useless.
func TestPagesStandStill(t *testing.T) {
	quiet(t)
	for _, p := range Pages() {
		first, err := p.Write(root)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := p.Write(root); err != nil || !bytes.Equal(first, second) {
			t.Errorf("%s differs when it is written twice (%v)", p.File, err)
		}
	}
}

// TestVariablesAreTold compares the variables that the page tells of with
// those that are read.
func TestVariablesAreTold(t *testing.T) {
	read := map[string]bool{"LEAT_ONNXRUNTIME": true} // by a constant of model/onnx/ort
	for _, folder := range []string{"surface/cli", "backends", "app"} {
		files, err := sources(root, folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range calls(files, "Getenv", "LookupEnv") {
			for _, name := range texts(c) {
				read[name] = true
			}
		}
	}
	told := variables()
	for name := range read {
		if told[name] == "" {
			t.Errorf("%s is read, of which docs/reference/cli.md does not tell: add it to variables", name)
		}
	}
	for name := range told {
		if !read[name] {
			t.Errorf("nothing reads %s any more: take it out of variables", name)
		}
	}
}

// TestRoutesNeedAGrant finds operations that the document shows without the
// verb they ask for.
func TestRoutesNeedAGrant(t *testing.T) {
	page, err := apiPage(root)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(page), "Grant: `none`"); n > 0 {
		t.Errorf("%d operations of the API ask for no grant", n)
	}
	if n := strings.Count(string(page), "Grant: "); n < 20 {
		t.Errorf("only %d operations were found", n)
	}
}
