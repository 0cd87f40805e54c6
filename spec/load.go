package spec

import (
	"io/fs"
	"os"

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
// each a fault with its place (file:line:column) and a hint.
func LoadFS(fsys fs.FS, opts Options) (*Project, error) {
	return nil, fault.New(fault.Unsupported, "reading projects is being built")
}

// Validate fills in the defaults of a spec made in code and checks it alone,
// not what it refers to. Mistakes have the path of their field as the place.
func Validate(s Spec) error { return nil }
