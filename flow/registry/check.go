package registry

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"math"
	"regexp"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model"
)

// Bounds of an artifact.
const (
	maxFiles = 1024
	maxFile  = 1 << 30 // bytes of one file
)

// latest is the reference that means the newest version; no alias has it.
const latest = "latest"

var (
	namePattern  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)
	aliasPattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]{0,63}$`)
	hexPattern   = regexp.MustCompile(`^[0-9a-f]{8,}$`)
)

// hash returns the id that a manifest gives its version, and the bytes that
// the id is the SHA-256 of.
func (m Manifest) hash() (id string, text []byte, err error) {
	text, err = json.Marshal(m)
	if err != nil {
		return "", nil, fault.Wrap(err, fault.Invalid, "the manifest of a version")
	}
	return digest(text), text, nil
}

func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// check reports every mistake of a new version at once.
func (r *Registry) check(n NewVersion) error {
	var l fault.List
	if !namePattern.MatchString(n.Model) {
		l.Add(fault.New(fault.Invalid, "%q cannot be the name of a model", n.Model).
			Hint("use letters, digits, dot, dash and underscore"))
	}
	l.Add(checkFolder(n.Folder))
	if n.Format == Reference {
		l.Add(checkReference(n))
		return l.Err()
	}
	if r.format(n.Format) == nil {
		l.Add(noFormat(n.Format))
	}
	if len(n.Files) == 0 || len(n.Files) > maxFiles {
		l.Add(fault.New(fault.Invalid, "a version has 1 to %d files, not %d", maxFiles, len(n.Files)))
	}
	for name, content := range n.Files {
		if !fs.ValidPath(name) || name == "." {
			l.Add(fault.New(fault.Invalid, "%q cannot be the name of a model's file", name))
		}
		if len(content) > maxFile {
			l.Add(fault.New(fault.TooLarge, "file %s of the model has %d bytes", name, len(content)))
		}
	}
	if t := n.Threshold; t != nil && (math.IsNaN(*t) || math.IsInf(*t, 0)) {
		l.Add(fault.New(fault.Invalid, "the threshold is %v", *t))
	}
	l.Add(checkSignature(n.Signature))
	return l.Err()
}

func checkSignature(s model.Signature) error {
	var l fault.List
	if len(s.Outputs) == 0 {
		l.Add(fault.New(fault.Invalid, "the signature has no outputs"))
	}
	for _, fields := range [][]model.Field{s.Inputs, s.Outputs} {
		seen := map[string]bool{}
		for _, f := range fields {
			if f.Name == "" || seen[f.Name] {
				l.Add(fault.New(fault.Invalid, "the signature has two columns %q, or one without a name", f.Name))
			}
			seen[f.Name] = true
			if f.Type.Arrow() == nil {
				l.Add(fault.New(fault.Invalid, "column %q of the signature has the unknown type %q", f.Name, f.Type))
			}
		}
	}
	return l.Err()
}

func (r *Registry) format(name string) model.Format {
	for _, f := range r.formats {
		if f.Name() == name {
			return f
		}
	}
	return nil
}

func noFormat(name string) error {
	return fault.New(fault.Unsupported, "no runtime for models of format %q is built in", name)
}
