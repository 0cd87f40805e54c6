package remote

import (
	"fmt"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/columns"
)

// oip is the Open Inference Protocol v2 over REST.
type oip struct{ manifest Manifest }

func (o oip) request(in frame.Batch) ([]byte, error) {
	n := int(in.NumRows())
	dst := []byte(`{"inputs":[`)
	column := 0
	for i, t := range tensors(o.manifest.Inputs, o.manifest.Signature.Inputs) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"name":`...)
		dst = columns.AppendString(dst, t.Name)
		dst = fmt.Appendf(dst, `,"datatype":%q,"shape":%s,"data":[`, t.Datatype, shape(n, t.Width))
		for row := range n {
			for c := range t.columns() {
				if row+c > 0 {
					dst = append(dst, ',')
				}
				dst = appendTensorCell(dst, in, column+c, row, t)
			}
		}
		dst = append(dst, "]}"...)
		column += t.columns()
	}
	return append(dst, "]}"...), nil
}

func shape(n, width int) string {
	if width == 0 {
		return "[" + strconv.Itoa(n) + "]"
	}
	return fmt.Sprintf("[%d,%d]", n, width)
}

// appendTensorCell writes a value as its tensor's type: whole numbers may be
// asked as floats and booleans as numbers.
func appendTensorCell(dst []byte, in frame.Batch, column, row int, t Tensor) []byte {
	col := in.Column(column)
	if b, ok := col.(*array.Boolean); ok && typeOf(t.Datatype) != frame.Bool && b.IsValid(row) {
		if b.Value(row) {
			return append(dst, '1')
		}
		return append(dst, '0')
	}
	return columns.AppendCell(dst, col, row, columns.Numbers)
}

// tensor is one output of an answer.
type tensor struct {
	name  string
	shape []int64
	data  []byte
}

func (o oip) answer(body []byte, in frame.Batch) (frame.Batch, error) {
	found, err := readTensors(body)
	if err != nil {
		return nil, err
	}
	n := int(in.NumRows())
	fields := o.manifest.Signature.Outputs
	b := columns.NewBuilder(fields)
	defer b.Release()
	wanted := tensors(o.manifest.Outputs, fields)
	column := 0
	for i, t := range wanted {
		got, err := match(found, wanted, i)
		if err != nil {
			return nil, err
		}
		if err := got.into(b, column, t.columns(), n); err != nil {
			return nil, fault.Wrap(err, fault.Corrupt, "the tensor %q", t.Name)
		}
		column += t.columns()
	}
	return b.Batch(n)
}

// readTensors reads the outputs of an answer, whose members may come in any
// order.
func readTensors(body []byte) (found []tensor, err error) {
	r := read(body)
	err = r.members(func(name string) error {
		if name != "outputs" {
			return r.SkipValue()
		}
		return r.elements(func(int) error {
			var t tensor
			err := r.members(func(name string) (err error) {
				switch name {
				case "name":
					var token jsontext.Token
					if token, err = r.ReadToken(); err == nil {
						t.name = token.String()
					}
				case "shape":
					err = r.scalars(func(v jsontext.Value) error {
						n, err := strconv.ParseInt(string(v), 10, 64)
						t.shape = append(t.shape, n)
						return err
					})
				case "data":
					t.data, err = r.value()
				default:
					err = r.SkipValue()
				}
				return err
			})
			found = append(found, t)
			return err
		})
	})
	if err != nil {
		return nil, fault.Wrap(err, fault.Corrupt, "the answer is not one of the Open Inference Protocol")
	}
	return found, nil
}

// match finds an output by its name, or by its position where the server has
// as many and none of the names.
func match(found []tensor, wanted []Tensor, i int) (tensor, error) {
	named := false
	for _, t := range found {
		if t.name == wanted[i].Name {
			return t, nil
		}
		for _, w := range wanted {
			named = named || w.Name == t.name
		}
	}
	if !named && len(found) == len(wanted) {
		return found[i], nil
	}
	return tensor{}, fault.New(fault.Corrupt, "the answer has no output %q", wanted[i].Name)
}

// into adds a tensor's values to the columns that it holds.
func (t tensor) into(b *columns.Builder, column, width, rows int) error {
	if len(t.shape) > 0 && t.shape[0] != int64(rows) {
		return fault.New(fault.Corrupt, "it has %d rows, not %d", t.shape[0], rows)
	}
	if t.data == nil {
		return fault.New(fault.Corrupt, "it has no data")
	}
	at := 0
	return read(t.data).scalars(func(v jsontext.Value) error {
		if at >= rows*width {
			return tooMany(rows)
		}
		at++
		return add(b, column+(at-1)%width, (at-1)/width, v)
	})
}

// signatureOf is what a server's metadata says of a model.
type metadata struct {
	Inputs  []metadataTensor `json:"inputs"`
	Outputs []metadataTensor `json:"outputs"`
}

type metadataTensor struct {
	Name     string  `json:"name"`
	Datatype string  `json:"datatype"`
	Shape    []int64 `json:"shape"`
}

// maxWidth bounds the columns of one tensor.
const maxWidth = 1 << 14

// side joins what a server says of its tensors and what the resource declares
// of the columns: one side of the signature.
func side(declared []model.Field, said []metadataTensor, what string) ([]model.Field, []Tensor, error) {
	if len(said) == 0 {
		return declared, nil, nil
	}
	var fields []model.Field
	var tensors []Tensor
	for _, s := range said {
		t := Tensor{Name: s.Name, Datatype: s.Datatype}
		typ := typeOf(s.Datatype)
		if typ == "" || len(s.Shape) > 2 {
			return nil, nil, fault.New(fault.Unsupported, "the %s %q is a tensor of %s with the shape %v, which is no column", what, s.Name, s.Datatype, s.Shape)
		}
		if len(s.Shape) == 2 {
			t.Width = int(min(max(s.Shape[1], -1), maxWidth+1))
			if t.Width < 1 && len(said) == 1 && len(declared) > 0 {
				t.Width = len(declared) // the server takes any width: it is the resource's to say
			}
			if t.Width < 1 || t.Width > maxWidth {
				return nil, nil, fault.New(fault.Invalid, "the server does not say how many columns the %s %q has", what, s.Name).
					Hint("declare them in the Model resource, as %ss: {name: double}", what)
			}
		}
		tensors = append(tensors, t)
		for c := range t.columns() {
			name := s.Name
			if t.Width > 1 {
				name = fmt.Sprintf("%s_%d", s.Name, c)
			}
			fields = append(fields, model.Field{Name: name, Type: typ})
		}
	}
	if len(declared) == 0 {
		return fields, tensors, nil
	}
	return named(declared, fields, tensors, what)
}

// named gives the columns of a server the names and types that the resource
// declares: those of the same name, or all in order.
func named(declared, fields []model.Field, tensors []Tensor, what string) ([]model.Field, []Tensor, error) {
	same := 0
	for _, d := range declared {
		if position(fields, d.Name) >= 0 {
			same++
		}
	}
	if same != len(declared) && same > 0 || len(declared) != len(fields) {
		return nil, nil, fault.New(fault.Invalid, "%d %ss are declared, the server has %d: %s", len(declared), what, len(fields), names(fields))
	}
	if same == len(declared) {
		for i := range fields {
			fields[i] = declared[position(declared, fields[i].Name)]
		}
		return fields, tensors, nil
	}
	return declared, tensors, nil
}

func names(fields []model.Field) string {
	text := ""
	for i, f := range fields {
		if i == 8 {
			return text + ", …"
		}
		if i > 0 {
			text += ", "
		}
		text += f.Name
	}
	return text
}
