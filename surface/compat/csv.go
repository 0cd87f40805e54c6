package compat

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/pattern/realtime"
)

// CSV reads rows of comma-separated text under a line of names. An empty cell
// is NULL.
func (x *Exchange) CSV(body []byte) (realtime.Rows, error) {
	n, names, err := countCSV(body, x.Path().MaxRows())
	if err != nil {
		return realtime.Rows{}, err
	}
	inputs := x.Path().Inputs()
	order, err := orderOf(names, inputs)
	if err != nil {
		return realtime.Rows{}, err
	}
	b := x.Blank(n)
	defer b.Release()
	row := -1 // the first record is the names
	err = eachRecord(body, func(record []string) error {
		for at, i := range order {
			if row < 0 || i < 0 {
				continue
			}
			in := inputs[i]
			if !Cell(record[at], in.Type).Set(b, in.Type, i, row, true) {
				return fault.New(fault.Invalid, "row %d: column %q takes another value than %.40q: its type is %s", row, in.Name, record[at], in.Type)
			}
		}
		row++
		return nil
	})
	if err != nil {
		return realtime.Rows{}, err
	}
	return b.Rows(), nil
}

// countCSV counts the rows and returns the names above them.
func countCSV(body []byte, most int) (rows int, names []string, err error) {
	rows = -1
	err = eachRecord(body, func(record []string) error {
		if rows++; rows > most {
			return fault.New(fault.TooLarge, "more than %d rows in one request", most).Hint("send fewer rows at a time")
		}
		if rows == 0 {
			names = append(make([]string, 0, len(record)), record...)
		}
		return nil
	})
	if err == nil && rows < 0 {
		err = fault.New(fault.Invalid, "the body has no line of names")
	}
	return rows, names, err
}

func eachRecord(body []byte, f func([]string) error) error {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))))
	r.ReuseRecord = true
	for {
		record, err := r.Read()
		if err == io.EOF {
			return nil
		}
		if wrong, ok := errors.AsType[*csv.ParseError](err); ok {
			return fault.New(fault.Invalid, "line %d is not CSV as the first: %v", wrong.Line, wrong.Err)
		}
		if err != nil {
			return fault.Wrap(err, fault.Invalid, "the body is not CSV")
		}
		if err := f(record); err != nil {
			return err
		}
	}
}
