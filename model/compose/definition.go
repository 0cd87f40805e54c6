package compose

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"math"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model"
)

// FileName is the one file of an artifact.
const FileName = "compose.json"

// Definition is compose.json.
type Definition struct {
	Version int    `json:"version"` // 1
	Kind    string `json:"kind"`
	Parts   []Part `json:"parts"`
	// Inputs are columns that a switch's expressions read and none of its
	// parts does.
	Inputs []model.Field `json:"inputs,omitempty"`
}

// Part is one model of a composition.
type Part struct {
	model.Reference
	Weight float64 `json:"weight,omitempty"` // of an average; 1 when 0
	When   string  `json:"when,omitempty"`   // of a switch; empty for the last case alone
}

// The kinds of compositions.
const (
	Sequence = "sequence"
	Average  = "average"
	Switch   = "switch"
)

const maxDefinition = 1 << 20

func read(files fs.FS) (d Definition, err error) {
	f, err := files.Open(FileName)
	if err != nil {
		return d, fault.Wrap(err, fault.Invalid, "a composition needs the file %s", FileName)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxDefinition+1))
	if err != nil {
		return d, fault.Wrap(err, fault.Corrupt, "%s cannot be read", FileName)
	}
	if len(data) > maxDefinition {
		return d, fault.New(fault.TooLarge, "%s is larger than %d bytes", FileName, maxDefinition)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		return d, fault.Wrap(err, fault.Invalid, "%s cannot be read", FileName)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return d, fault.New(fault.Invalid, "%s goes on after its end", FileName)
	}
	return d, d.check()
}

// Pack checks a definition against its parts, which are held for that, and
// writes the artifact, the same bytes each time.
func Pack(ctx context.Context, c Config, d Definition) (map[string][]byte, model.Signature, error) {
	d.Version = 1
	if err := d.check(); err != nil {
		return nil, model.Signature{}, err
	}
	m, err := open(ctx, c, d)
	if err != nil {
		return nil, model.Signature{}, err
	}
	defer m.Close()
	text, err := json.MarshalIndent(d, "", " ")
	if err != nil {
		return nil, model.Signature{}, fault.Wrap(err, fault.Internal, "%s cannot be written", FileName)
	}
	return map[string][]byte{FileName: append(text, '\n')}, m.Signature(), nil
}

// check reports what is wrong with a definition before its parts are known.
func (d Definition) check() error {
	if d.Version != 1 {
		return fault.New(fault.Unsupported, "%s has version %d, not 1", FileName, d.Version)
	}
	var l fault.List
	bad := func(format string, args ...any) { l.Add(fault.New(fault.Invalid, format, args...)) }
	if len(d.Parts) == 0 || len(d.Parts) > maxParts {
		bad("a composition has 1 to %d models, not %d", maxParts, len(d.Parts))
	}
	if d.Kind != Sequence && d.Kind != Average && d.Kind != Switch {
		bad("models are composed by sequence, average or switch, not %q", d.Kind)
	}
	for i, p := range d.Parts {
		last := i == len(d.Parts)-1
		switch {
		case p.Model == "" || p.Version < 1 || p.ID == "":
			bad("part %d names no version", i+1)
		case p.Weight != 0 && d.Kind != Average || p.When != "" && d.Kind != Switch:
			bad("part %d has a weight or a condition, which a %s has not", i+1, d.Kind)
		case p.Weight < 0 || math.IsNaN(p.Weight) || p.Weight > 1e9:
			bad("part %d has the weight %v", i+1, p.Weight)
		case d.Kind == Switch && last && p.When != "":
			bad("the last case of a switch has a condition, so that some rows would have no model")
		case d.Kind == Switch && !last && p.When == "":
			bad("case %d of a switch has no condition, so that those after it would have no rows", i+1)
		}
	}
	return l.Err()
}

// plan puts parts together, or says why they do not fit.
func (d Definition) plan(parts []*part) (plan, error) {
	if n := count(parts); n > maxModels {
		return nil, fault.New(fault.TooLarge, "a row would meet %d models, more than %d", n, maxModels)
	}
	switch d.Kind {
	case Sequence:
		return newSequence(parts)
	case Average:
		return newAverage(parts)
	}
	return newSwitch(parts, d.Inputs)
}

// count is how many models a row may meet, below all parts.
func count(parts []*part) int {
	n := 0
	for _, p := range parts {
		if inner, ok := p.model.(interface{ Models() int }); ok {
			n += inner.Models()
		} else {
			n++
		}
	}
	return n
}
