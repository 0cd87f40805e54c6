package specdoc

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the generated files anew")

const folder = "../../spec"

// TestGenerated compares the committed files with the language.
func TestGenerated(t *testing.T) {
	for file, generate := range map[string]func(string) ([]byte, error){
		"../../spec/schema.json":           Schema,
		"../../docs/reference/language.md": Page,
	} {
		want, err := generate(folder)
		if err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the language is now (%v); run: go generate ./spec", file, err)
		}
	}
}

// TestEverythingHasWords holds the structs to its purpose: it is the reference.
func TestEverythingHasWords(t *testing.T) {
	kinds, parts, err := Language(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range append(kinds, parts...) {
		if s.Doc == "" {
			t.Errorf("%s has no comment", s.Name)
		}
		for _, f := range s.Fields {
			if !strings.HasSuffix(f.Doc, ".") {
				t.Errorf("%s.%s has no comment that is a sentence: %q", s.Name, f.Name, f.Doc)
			}
		}
	}
}

// TestSchemaRefersToItself proves that every $ref of the schema exists.
func TestSchemaRefersToItself(t *testing.T) {
	data, err := Schema(folder)
	if err != nil {
		t.Fatal(err)
	}
	var root struct {
		Defs map[string]json.RawMessage `json:"$defs"`
	}
	if err := json.Unmarshal(data, &root); err != nil {
		t.Fatal(err)
	}
	for _, part := range strings.Split(string(data), `"$ref": "#/$defs/`)[1:] {
		name, _, _ := strings.Cut(part, `"`)
		if root.Defs[name] == nil {
			t.Errorf("$ref to %s, which is not defined", name)
		}
	}
}
