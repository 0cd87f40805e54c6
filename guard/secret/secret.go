// Package secret is how Leat names a password, key or token without holding
// it: by a Reference that is resolved when it is used.
//
// It stands in guard/. Resource files and configuration hold references
// (env:NAME, file:PATH); whoever needs the value calls Resolve at that moment
// and keeps it no longer than the call, so that a rotated secret is seen
// without a restart. A Value prints as ***, in every format, and no error
// holds one. Other sources (a sealed store, a vault) are Sources of their own
// that app adds to a Resolver.
package secret

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/leat-ai/leat/base/fault"
)

// Reference names a secret: a scheme, a colon, and what the scheme's source
// understands. It holds nothing secret.
type Reference string

// Parse checks that text is a reference. The fault does not repeat the text,
// which may be a secret that somebody wrote in the wrong place.
func Parse(text string) (Reference, error) {
	scheme, name, ok := strings.Cut(text, ":")
	if !ok || scheme == "" || name == "" || strings.ContainsFunc(scheme, notLower) || strings.ContainsRune(text, 0) {
		return "", fault.New(fault.Invalid, "a secret is written as a reference to it, not as itself").
			Hint("write env:NAME or file:/path/to/it")
	}
	return Reference(text), nil
}

func notLower(r rune) bool { return (r < 'a' || r > 'z') && r != '-' }

// Value is a secret. It prints as ***; Reveal gives it away.
type Value struct {
	// A pointer, because fmt prints the unexported fields of others without
	// asking their methods: then it shows an address.
	text *string
}

// NewValue makes a value, for sources and tests.
func NewValue(text string) Value { return Value{&text} }

// Reveal returns the secret itself; "" for the zero Value.
func (v Value) Reveal() string {
	if v.text == nil {
		return ""
	}
	return *v.text
}

const redacted = "***"

// String returns ***.
func (v Value) String() string { return redacted }

// Format writes *** for every verb.
func (v Value) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// MarshalText returns ***, so that no encoder writes the secret.
func (v Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns ***.
func (v Value) LogValue() slog.Value { return slog.StringValue(redacted) }

// Source resolves the references of one scheme. It is safe for many
// goroutines. A secret that is not there is a NotFound fault, and no fault
// holds a value.
type Source interface {
	Resolve(ctx context.Context, name string) (Value, error)
}

// Resolver finds the source of a reference.
type Resolver struct{ sources map[string]Source }

// NewResolver makes a resolver of env: and file:, and of more sources by
// their schemes.
func NewResolver(more map[string]Source) *Resolver {
	r := &Resolver{sources: map[string]Source{"env": env{}, "file": file{}}}
	maps.Copy(r.sources, more)
	return r
}

// Resolve returns the present value of a reference.
func (r *Resolver) Resolve(ctx context.Context, ref Reference) (Value, error) {
	if _, err := Parse(string(ref)); err != nil {
		return Value{}, err
	}
	scheme, name, _ := strings.Cut(string(ref), ":")
	source, ok := r.sources[scheme]
	if !ok {
		return Value{}, fault.New(fault.Unsupported, "no source of secrets is called %.20q", scheme).
			Hint("the sources are %s", strings.Join(r.schemes(), ", "))
	}
	return source.Resolve(ctx, name)
}

func (r *Resolver) schemes() []string {
	return slices.Sorted(maps.Keys(r.sources))
}

// env reads an environment variable.
type env struct{}

func (env) Resolve(_ context.Context, name string) (Value, error) {
	text, ok := os.LookupEnv(name)
	if !ok || text == "" {
		return Value{}, fault.New(fault.NotFound, "the environment variable %q of a secret is not set", name).
			Hint("set it where Leat is started")
	}
	return NewValue(text), nil
}

// file reads a file, such as a mounted Kubernetes secret. One line break at
// its end does not count.
type file struct{}

// maxFile bounds a secret: a certificate chain with its key fits.
const maxFile = 1 << 20

func (file) Resolve(_ context.Context, name string) (Value, error) {
	if !filepath.IsAbs(name) {
		return Value{}, fault.New(fault.Invalid, "the file of a secret needs an absolute path").Hint("write file:/run/secrets/name")
	}
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // without waiting, should it be a pipe
	if errors.Is(err, os.ErrNotExist) {
		return Value{}, fault.New(fault.NotFound, "the file %q of a secret is not there", name)
	}
	if err != nil {
		return Value{}, fault.Wrap(err, fault.Unavailable, "the file of a secret cannot be read")
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return Value{}, fault.New(fault.Invalid, "%q is not a file, and holds no secret", name)
	}
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return Value{}, fault.Wrap(err, fault.Unavailable, "the file of a secret cannot be read")
	case len(content) > maxFile:
		return Value{}, fault.New(fault.TooLarge, "the file %q of a secret is over %d bytes", name, maxFile)
	}
	content = bytes.TrimSuffix(bytes.TrimSuffix(content, []byte("\n")), []byte("\r"))
	if len(content) == 0 {
		return Value{}, fault.New(fault.NotFound, "the file %q of a secret is empty", name)
	}
	return NewValue(string(content)), nil
}
