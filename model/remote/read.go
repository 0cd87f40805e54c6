package remote

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/columns"
)

// reader reads an answer's JSON where its shape is known only from reading it.
type reader struct{ *jsontext.Decoder }

func read(text []byte) reader { return reader{jsontext.NewDecoder(bytes.NewReader(text))} }

// members reads an object; f reads the value of each member.
func (r reader) members(f func(name string) error) error {
	if r.PeekKind() != '{' {
		return fault.New(fault.Corrupt, "there is no object where one is needed")
	}
	if _, err := r.ReadToken(); err != nil {
		return err
	}
	for r.PeekKind() == '"' {
		name, err := r.ReadToken()
		if err != nil {
			return err
		}
		if err := f(name.String()); err != nil {
			return err
		}
	}
	_, err := r.ReadToken()
	return err
}

// elements reads an array; f reads each element.
func (r reader) elements(f func(i int) error) error {
	if r.PeekKind() != '[' {
		return fault.New(fault.Corrupt, "there is no array where one is needed")
	}
	if _, err := r.ReadToken(); err != nil {
		return err
	}
	for i := 0; r.PeekKind() != ']'; i++ {
		if err := f(i); err != nil {
			return err
		}
	}
	_, err := r.ReadToken()
	return err
}

// scalars reads a value, or an array of them nested however deep the decoder
// lets it be, row after row.
func (r reader) scalars(f func(jsontext.Value) error) error {
	depth := r.StackDepth()
	for {
		switch r.PeekKind() {
		case '[':
			if _, err := r.ReadToken(); err != nil {
				return err
			}
		case ']':
			if _, err := r.ReadToken(); err != nil {
				return err
			}
		case '{':
			return fault.New(fault.Corrupt, "there is an object where values are needed")
		default:
			v, err := r.ReadValue()
			if err != nil {
				return err
			}
			if err := f(v); err != nil {
				return err
			}
		}
		if r.StackDepth() == depth {
			return nil
		}
	}
}

// value reads the next value as it stands, to be read again.
func (r reader) value() ([]byte, error) {
	v, err := r.ReadValue()
	return v.Clone(), err
}

func tooMany(rows int) error {
	return fault.New(fault.Corrupt, "there are more values than the %d rows have", rows)
}

// position finds a field by its name, or -1.
func position(fields []model.Field, name string) int {
	for i, f := range fields {
		if f.Name == name {
			return i
		}
	}
	return -1
}

// add adds a cell of a row: cells come in the order of rows, each once.
func add(b *columns.Builder, column, row int, cell jsontext.Value) error {
	if b.Len(column) != row {
		return fault.New(fault.Corrupt, "row %d has one value too many, or too few", row)
	}
	return b.Cell(column, cell)
}
