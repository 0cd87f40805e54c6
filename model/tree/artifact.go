package tree

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"math"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/encode"
)

// modelFile is the only file of an artifact.
const modelFile = "model.json"

// Versions of the artifact; a reader refuses what is newer than itself. What
// version 1 can say is written as that, so that readers of both know it.
const (
	plainVersion = 1
	version      = 2 // all that an imported ensemble may need
)

// maxFileBytes bounds a model file. 10,000 trees of 255 leaves take half.
const maxFileBytes = 256 << 20

// stored is the form of model.json. The trees lie in flat arrays, one after
// another, which keeps the file small and its decoding cheap: what a hostile
// file can make the decoder allocate is a small multiple of its size.
type stored struct {
	Version    int             `json:"version"`
	Task       model.Task      `json:"task"`
	Classes    []string        `json:"classes,omitempty"`
	Link       Link            `json:"link"`
	Threshold  float64         `json:"threshold,omitempty"`
	Base       []float64       `json:"base"`
	Importance []float64       `json:"importance,omitempty"`
	Encoder    *encode.Encoder `json:"encoder"`

	// One for each tree.
	Output []int `json:"output"`
	Splits []int `json:"splits"` // how many; leaves are one more
	// One for each split.
	Column      []int     `json:"column"`
	Left        []int     `json:"left"`
	Right       []int     `json:"right"`
	MissingLeft []int     `json:"missing_left"` // 0 or 1
	At          []float64 `json:"at"`           // the threshold, or how many words of SetWords are the set
	// One for each leaf.
	Leaf []float64 `json:"leaf"`
	// One for each 32-bit word of the sets of categorical splits, in order.
	SetWords []uint32 `json:"set_words,omitempty"`

	// Since version 2.
	Names    []string `json:"names,omitempty"`
	Scale    float64  `json:"scale,omitempty"`
	Average  int      `json:"average,omitempty"`
	BaseLast bool     `json:"base_last,omitempty"`
	Single   bool     `json:"single,omitempty"`
	// The splits whose threshold is infinite; At has its sign, as 1 or -1.
	Infinite []int `json:"infinite,omitempty"`
	// The linear leaves: nothing, or for each leaf how many columns it has, -1
	// where the leaves of a tree are plain numbers. Constants are those of the
	// others, and columns and coefficients lie one leaf behind another.
	LinearSize         []int     `json:"linear_size,omitempty"`
	LinearConstant     []float64 `json:"linear_constant,omitempty"`
	LinearColumn       []int     `json:"linear_column,omitempty"`
	LinearCoefficients []float64 `json:"linear_coefficients,omitempty"`
}

// Files returns the artifact that Format loads again: the same bytes for the
// same definition.
func (e *Ensemble) Files() (map[string][]byte, error) {
	data, err := json.Marshal(store(&e.def))
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the ensemble cannot be written as JSON")
	}
	return map[string][]byte{modelFile: append(data, '\n')}, nil
}

func store(d *Definition) *stored {
	s := &stored{
		Version: plainVersion, Task: d.Task, Classes: d.Classes, Link: d.Link, Threshold: d.Threshold,
		Base: d.Base, Importance: d.Importance, Encoder: d.Encoder,
		Names: d.Names, Average: d.Average, BaseLast: d.BaseLast, Single: d.Single,
	}
	if d.Scale != 1 {
		s.Scale = d.Scale
	}
	linear := d.linear()
	for i := range d.Trees {
		t := &d.Trees[i]
		if linear {
			s.addLinear(t)
		}
		s.Output = append(s.Output, t.Output)
		s.Splits = append(s.Splits, len(t.Splits))
		s.Leaf = append(s.Leaf, t.Leaves...)
		for j := range t.Splits {
			s.add(&t.Splits[j])
		}
	}
	if !s.plain() {
		s.Version = version
	}
	return s
}

// plain tells whether version 1 can say it.
func (s *stored) plain() bool {
	for i := range s.Encoder.Columns {
		if !s.Encoder.Columns[i].Plain() {
			return false
		}
	}
	links := map[model.Task]Link{model.Binary: Sigmoid, model.Multiclass: Softmax, model.Regression: Identity}
	return links[s.Task] == s.Link && (s.Task == model.Multiclass || len(s.Base) == 1) &&
		s.Names == nil && s.Scale == 0 && s.Average == 0 && !s.BaseLast && !s.Single &&
		s.Infinite == nil && s.LinearSize == nil
}

// addLinear appends the linear leaves of a tree.
func (s *stored) addLinear(t *Tree) {
	if t.Linear == nil {
		for range t.Leaves {
			s.LinearSize = append(s.LinearSize, -1)
		}
		return
	}
	for i := range t.Linear {
		l := &t.Linear[i]
		s.LinearSize = append(s.LinearSize, len(l.Columns))
		s.LinearConstant = append(s.LinearConstant, l.Constant)
		s.LinearColumn = append(s.LinearColumn, l.Columns...)
		s.LinearCoefficients = append(s.LinearCoefficients, l.Coefficients...)
	}
}

func (s *stored) add(split *Split) {
	missing := 0
	if split.MissingLeft {
		missing = 1
	}
	at := split.Threshold
	if split.Set != nil {
		at = float64(2 * len(split.Set))
		for _, word := range split.Set {
			s.SetWords = append(s.SetWords, uint32(word), uint32(word>>32))
		}
	}
	if math.IsInf(at, 0) {
		s.Infinite = append(s.Infinite, len(s.At))
		at = math.Copysign(1, at)
	}
	s.Column = append(s.Column, split.Column)
	s.Left = append(s.Left, split.Left)
	s.Right = append(s.Right, split.Right)
	s.MissingLeft = append(s.MissingLeft, missing)
	s.At = append(s.At, at)
}

// Format loads tree artifacts. It is a model.Format.
type Format struct{}

var _ model.Format = Format{}

// Name is "tree".
func (Format) Name() string { return FormatName }

// Load reads and checks an artifact. A file that is too large is a TooLarge
// fault, one that is not JSON of the known form is Corrupt, and one whose
// trees are not sound is Invalid.
func (Format) Load(ctx context.Context, files fs.FS) (model.Model, error) {
	data, err := readBounded(ctx, files)
	if err != nil {
		return nil, err
	}
	var s stored
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return nil, fault.New(fault.Corrupt, "the tree model is not JSON of the known form").At(modelFile).Because(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fault.New(fault.Corrupt, "there is more after the end of the tree model").At(modelFile)
	}
	def, err := s.definition()
	if err != nil {
		return nil, err
	}
	e, err := New(*def)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "%s does not hold a sound ensemble", modelFile)
	}
	return e, nil
}

func readBounded(ctx context.Context, files fs.FS) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fault.Wrap(err, fault.KindOf(err), "the tree model was not loaded")
	}
	f, err := files.Open(modelFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.Invalid, "the artifact has no %s", modelFile).
			Hint("a tree artifact is one file of this name, as the gbdt trainer writes it")
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "%s cannot be opened", modelFile)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "%s cannot be read", modelFile)
	}
	if len(data) > maxFileBytes {
		return nil, fault.New(fault.TooLarge, "the tree model is larger than %d MiB", maxFileBytes>>20).At(modelFile)
	}
	return data, nil
}

// definition takes the flat arrays apart. It checks that they have the
// lengths they claim; whether the trees are sound is for New to check.
func (s *stored) definition() (*Definition, error) {
	if s.Version < plainVersion || s.Version > version {
		return nil, fault.New(fault.Unsupported, "the tree model has version %d, this reader knows %d to %d", s.Version, plainVersion, version).
			At(modelFile).Hint("load it with the release of Leat that wrote it, or a newer one")
	}
	if err := s.checkLengths(); err != nil {
		return nil, err
	}
	d := &Definition{
		Task: s.Task, Classes: s.Classes, Link: s.Link, Threshold: s.Threshold,
		Base: s.Base, Importance: s.Importance, Encoder: s.Encoder,
		Names: s.Names, Scale: s.Scale, Average: s.Average, BaseLast: s.BaseLast, Single: s.Single,
		Trees: make([]Tree, len(s.Splits)),
	}
	if d.Encoder == nil {
		return nil, corrupt("it has no encoder")
	}
	splits, leaves := make([]Split, len(s.Column)), s.Leaf
	words := s.SetWords
	for i := range splits {
		var err error
		if words, err = s.split(i, &splits[i], words); err != nil {
			return nil, err
		}
	}
	if len(words) > 0 {
		return nil, corrupt("%d set_words belong to no split", len(words))
	}
	if err := s.infinite(splits); err != nil {
		return nil, err
	}
	linear, err := s.linear()
	if err != nil {
		return nil, err
	}
	for i, n := range s.Splits {
		d.Trees[i] = Tree{Output: s.Output[i], Splits: splits[:n:n], Leaves: leaves[: n+1 : n+1]}
		splits, leaves = splits[n:], leaves[n+1:]
		if linear != nil {
			if s.LinearSize[len(s.LinearSize)-len(linear)] >= 0 {
				d.Trees[i].Linear = linear[: n+1 : n+1]
			}
			linear = linear[n+1:]
		}
	}
	return d, nil
}

// infinite puts the infinite thresholds back.
func (s *stored) infinite(splits []Split) error {
	for _, i := range s.Infinite {
		if i < 0 || i >= len(splits) || splits[i].Set != nil {
			return corrupt("split %d has no infinite threshold", i)
		}
		splits[i].Threshold = math.Inf(int(math.Copysign(1, s.At[i])))
	}
	return nil
}

// linear takes the linear leaves apart, one for each leaf, or nil. Plain
// numbers among the leaves of a linear tree become constants.
func (s *stored) linear() ([]Linear, error) {
	if len(s.LinearSize) == 0 {
		return nil, nil
	}
	if len(s.LinearSize) != len(s.Leaf) {
		return nil, corrupt("%q has %d entries for %d leaves", "linear_size", len(s.LinearSize), len(s.Leaf))
	}
	if len(s.LinearColumn) != len(s.LinearCoefficients) {
		return nil, corrupt("%d columns of linear leaves have %d coefficients", len(s.LinearColumn), len(s.LinearCoefficients))
	}
	linear := make([]Linear, len(s.Leaf))
	constants, columns, coefficients := s.LinearConstant, s.LinearColumn, s.LinearCoefficients
	for i, n := range s.LinearSize {
		if n < 0 {
			linear[i].Constant = s.Leaf[i]
			continue
		}
		if len(constants) == 0 || n > len(columns) {
			return nil, corrupt("leaf %d claims a linear model of %d columns, which is not there", i, n)
		}
		linear[i] = Linear{Constant: constants[0], Columns: columns[:n:n], Coefficients: coefficients[:n:n]}
		constants, columns, coefficients = constants[1:], columns[n:], coefficients[n:]
	}
	if len(constants) > 0 || len(columns) > 0 {
		return nil, corrupt("%d constants and %d columns belong to no linear leaf", len(constants), len(columns))
	}
	return linear, nil
}

// checkLengths checks that the arrays agree with one another.
func (s *stored) checkLengths() error {
	total := 0
	for i, n := range s.Splits {
		if n < 0 || n > len(s.Column)-total {
			return corrupt("tree %d claims %d splits, which are not there", i, n)
		}
		total += n
	}
	for _, part := range []struct {
		name      string
		got, want int
	}{
		{"output", len(s.Output), len(s.Splits)},
		{"column", len(s.Column), total},
		{"left", len(s.Left), total},
		{"right", len(s.Right), total},
		{"missing_left", len(s.MissingLeft), total},
		{"at", len(s.At), total},
		{"leaf", len(s.Leaf), total + len(s.Splits)},
	} {
		if part.got != part.want {
			return corrupt("%q has %d entries where the trees need %d", part.name, part.got, part.want)
		}
	}
	return nil
}

// split fills split i and returns the set words that are left for the others.
func (s *stored) split(i int, to *Split, words []uint32) ([]uint32, error) {
	*to = Split{Column: s.Column[i], Left: s.Left[i], Right: s.Right[i], Threshold: s.At[i]}
	switch s.MissingLeft[i] {
	case 0:
	case 1:
		to.MissingLeft = true
	default:
		return nil, corrupt("missing_left of split %d is neither 0 nor 1", i)
	}
	if to.Column < 0 || to.Column >= len(s.Encoder.Columns) {
		return nil, corrupt("split %d is on the column %d, which does not exist", i, to.Column)
	}
	if _, coded := s.Encoder.Columns[to.Column].Codes(); !coded {
		return words, nil
	}
	n := to.Threshold
	to.Threshold = 0
	if !(n >= 0 && n <= float64(len(words))) || n != float64(int(n)) || int(n)%2 != 0 {
		return nil, corrupt("split %d claims %v set_words, which are not there", i, n)
	}
	to.Set = make([]uint64, int(n)/2)
	for k := range to.Set {
		to.Set[k] = uint64(words[2*k]) | uint64(words[2*k+1])<<32
	}
	return words[int(n):], nil
}

func corrupt(format string, args ...any) *fault.Error {
	return fault.New(fault.Corrupt, format, args...).At(modelFile)
}
