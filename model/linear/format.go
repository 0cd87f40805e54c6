package linear

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/encode"
)

// FileName is the one file of an artifact.
const FileName = "linear.json"

// Bounds of what Load takes. Weights within maxWeight cannot add up to an
// infinity over the bounded number of columns.
const (
	maxFile    = 256 << 20
	maxClasses = 1 << 12
	maxWeight  = 1e100
)

// Format loads linear models. It meets model.Format.
type Format struct{}

// Name returns "linear".
func (Format) Name() string { return FormatName }

// Load reads and checks an artifact.
func (Format) Load(ctx context.Context, files fs.FS) (model.Model, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	data, err := readBounded(files)
	if err != nil {
		return nil, err
	}
	m, err := Parse(data)
	if err != nil {
		return nil, err
	}
	return m, nil
}

func readBounded(files fs.FS) ([]byte, error) {
	f, err := files.Open(FileName)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "a linear model needs the file %s", FileName)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fault.Wrap(err, fault.Corrupt, "%s cannot be read", FileName)
	}
	if len(data) > maxFile {
		return nil, fault.New(fault.TooLarge, "%s is larger than %d bytes", FileName, maxFile)
	}
	return data, nil
}

// Parse makes a model from the bytes of its file.
func Parse(data []byte) (*Model, error) {
	var spec Spec
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&spec); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "%s is not a linear model", FileName)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fault.New(fault.Invalid, "%s goes on after the model", FileName)
	}
	return New(&spec)
}

// Files writes the artifact of the model, the same bytes each time.
func (m *Model) Files() (map[string][]byte, error) {
	data, err := json.MarshalIndent(m.spec, "", " ")
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the linear model cannot be written")
	}
	return map[string][]byte{FileName: append(data, '\n')}, nil
}

func (s *Spec) validate() error {
	if s.Version != 1 {
		return fault.New(fault.Unsupported, "%s has version %d, not 1", FileName, s.Version)
	}
	outputs, err := s.outputs()
	if err != nil {
		return err
	}
	if s.Encoder == nil {
		return fault.New(fault.Invalid, "%s has no encoder", FileName)
	}
	if err := s.Encoder.Validate(); err != nil {
		return err
	}
	n := len(s.Encoder.Columns)
	if n == 0 || len(s.Terms) != n || len(s.Importance) != n {
		return fault.New(fault.Invalid, "%d columns with %d terms and %d importances", n, len(s.Terms), len(s.Importance))
	}
	if err := checkWeights(s.Bias, outputs); err != nil {
		return fault.Wrap(err, fault.Invalid, "bias")
	}
	for i := range s.Terms {
		if err := s.Terms[i].validate(&s.Encoder.Columns[i], outputs); err != nil {
			return fault.Wrap(err, fault.Invalid, "the term of column %q", s.Encoder.Columns[i].Name)
		}
		if v := s.Importance[i]; !(v >= 0 && v <= maxWeight) {
			return fault.New(fault.Invalid, "the importance of column %q is %v", s.Encoder.Columns[i].Name, v)
		}
	}
	return nil
}

// outputs returns how many scores the task has.
func (s *Spec) outputs() (int, error) {
	n := len(s.Classes)
	seen := make(map[string]bool, min(n, maxClasses))
	for _, class := range s.Classes[:min(n, maxClasses)] {
		if seen[class] {
			return 0, fault.New(fault.Invalid, "class %q stands there twice", class)
		}
		seen[class] = true
	}
	switch {
	case s.Task == model.Binary && n == 2:
		return 1, nil
	case s.Task == model.Regression && n == 0:
		return 1, nil
	case s.Task == model.Multiclass && n >= 3 && n <= maxClasses:
		return n, nil
	}
	return 0, fault.New(fault.Invalid, "the task %q with %d classes", s.Task, n)
}

func (t *Term) validate(c *encode.Column, outputs int) error {
	if !c.Plain() {
		return fault.New(fault.Invalid, "a linear model cannot read the column in the way of another library")
	}
	if err := checkWeights(t.Missing, outputs); err != nil {
		return err
	}
	if c.Kind == encode.Category {
		if t.Weight != nil || len(t.Weights) != len(c.Categories)+1 {
			return fault.New(fault.Invalid, "%d rows of weights for %d categories and the unseen", len(t.Weights), len(c.Categories))
		}
		for _, w := range t.Weights {
			if err := checkWeights(w, outputs); err != nil {
				return err
			}
		}
		return nil
	}
	if t.Weights != nil {
		return fault.New(fault.Invalid, "a number has weights of categories")
	}
	if !(t.Scale > 0) || IsMissing(t.Scale) || IsMissing(t.Mean) {
		return fault.New(fault.Invalid, "mean %v and scale %v", t.Mean, t.Scale)
	}
	return checkWeights(t.Weight, outputs)
}

func checkWeights(weights []float64, outputs int) error {
	if len(weights) != outputs {
		return fault.New(fault.Invalid, "%d weights for %d scores", len(weights), outputs)
	}
	for _, w := range weights {
		if !(w >= -maxWeight && w <= maxWeight) {
			return fault.New(fault.Invalid, "the weight %v is out of bounds", w)
		}
	}
	return nil
}
