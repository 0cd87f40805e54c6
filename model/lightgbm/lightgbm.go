// Package lightgbm loads models of LightGBM, as its Booster.save_model writes
// them: text, versions v2 to v4.
//
// It stands beside the other runtimes of package model. The trees become a
// tree.Definition (definition.go), so one engine scores what was trained here
// and what was trained there; this package reads the text (file.go, text.go),
// knows the rules of LightGBM (missing values, zeros, category codes,
// objectives), and answers in its columns, too (model.go). Call Format.Load,
// or Parse for a text in memory.
//
// # Promises
//
// Every row reaches the same leaf of every tree as in LightGBM, and sums are
// added in the same order, so raw scores are equal but for what the compilers
// make of a multiplication in linear leaves; probabilities differ by the last
// digits of exp. A file is refused, with the number of the tree, unless all of
// it is there and all of it is sound: LightGBM itself follows whatever the
// text says.
package lightgbm

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model"
)

// FormatName is the name of the artifacts that Format loads.
const FormatName = "lightgbm"

// File is the only file of an artifact: the text as LightGBM wrote it.
const File = "model.txt"

// maxFileBytes bounds a model file. 20,000 trees of 255 leaves take half.
const maxFileBytes = 1 << 30

// Format loads model files of LightGBM. It is a model.Format.
type Format struct{}

var _ model.Format = Format{}

// Name is "lightgbm".
func (Format) Name() string { return FormatName }

// Load reads and checks model.txt. A file that is too large is a TooLarge
// fault, one that is cut short or not such a text is Corrupt, one whose trees
// are not sound is Invalid, and one that asks for what is not known here is
// Unsupported.
func (Format) Load(ctx context.Context, files fs.FS) (model.Model, error) {
	if err := ctx.Err(); err != nil {
		return nil, fault.Wrap(err, fault.KindOf(err), "the LightGBM model was not loaded")
	}
	text, err := read(files)
	if err != nil {
		return nil, err
	}
	m, err := Parse(text)
	if err != nil {
		return nil, err
	}
	return m, nil
}

// read returns the text of File. It takes no more memory than the file has
// bytes, give or take what a growing file would add.
func read(files fs.FS) (string, error) {
	f, err := files.Open(File)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fault.New(fault.Invalid, "the artifact has no %s", File).
			Hint("a LightGBM artifact is one file of this name, as Booster.save_model writes it")
	}
	if err != nil {
		return "", fault.Wrap(err, fault.Unavailable, "%s cannot be opened", File)
	}
	defer f.Close()
	var text strings.Builder
	if info, err := f.Stat(); err == nil && info.Size() > 0 && info.Size() <= maxFileBytes {
		text.Grow(int(info.Size()))
	}
	n, err := io.Copy(&text, io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return "", fault.Wrap(err, fault.Unavailable, "%s cannot be read", File)
	}
	if n > maxFileBytes {
		return "", fault.New(fault.TooLarge, "the LightGBM model is larger than %d MiB", maxFileBytes>>20).At(File)
	}
	return text.String(), nil
}

func invalid(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, format, args...)
}

func corrupt(format string, args ...any) *fault.Error {
	return fault.New(fault.Corrupt, format, args...)
}
