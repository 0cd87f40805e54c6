package specdoc

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/leat-ai/leat/spec"
)

// TestSchemaAgreesWithLoad holds the schema against the samples of package
// spec with a validator that nobody here wrote: it accepts all good ones and
// finds what is wrong with the shape of the bad ones.
func TestSchemaAgreesWithLoad(t *testing.T) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(spec.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("resource.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("resource.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range sample(t, "../../spec/testdata/good/*.yaml", "../../examples/*/*.yaml") {
		for i, d := range documents(t, file) {
			if err := s.Validate(d); err != nil {
				t.Errorf("%s, document %d: %v", file, i+1, err)
			}
		}
	}
	for _, file := range sample(t, "../../spec/testdata/bad/unknown_*.yaml", "../../spec/testdata/bad/wrong_type.yaml") {
		for i, d := range documents(t, file) {
			if m, ok := d.(map[string]any); ok && m["kind"] == "Model" {
				continue // only there for the others to refer to
			}
			if err := s.Validate(d); err == nil {
				t.Errorf("%s, document %d: accepted", file, i+1)
			}
		}
	}
}

func sample(t *testing.T, patterns ...string) (files []string) {
	t.Helper()
	for _, p := range patterns {
		found, err := filepath.Glob(p)
		if err != nil || len(found) == 0 {
			t.Fatalf("no samples at %s (%v)", p, err)
		}
		files = append(files, found...)
	}
	return files
}

// documents reads a file as a generic YAML reader would, by way of JSON.
func documents(t *testing.T, file string) (all []any) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for dec := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var d any
		if err := dec.Decode(&d); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		text, err := json.Marshal(d)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if d, err = jsonschema.UnmarshalJSON(bytes.NewReader(text)); err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
}
