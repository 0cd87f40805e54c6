package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/ingest"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/importer"
)

// pickInputs says which column of a file each input of a model is read from:
// by name where the file has the names, otherwise by position. note is what a
// user should know of the choice, or "".
func pickInputs(inputs []model.Field, rows *ingest.Rows, drop []string) (picks []ingest.Pick, note string, err error) {
	if names := rows.Names(); names != nil {
		picks, missing := byName(inputs, names)
		if len(missing) == 0 {
			return picks, "", nil
		}
		// A model with names of its own and a file that has some of them: the
		// others were forgotten, or are written otherwise.
		if !importer.Positional(inputs) && (len(missing) < len(inputs) || len(names) < len(inputs)) {
			return nil, "", missingInputs(missing, names)
		}
	}
	at, err := remaining(rows, drop)
	if err != nil {
		return nil, "", err
	}
	sparse := rows.Width() == 0
	if !sparse && len(at) < len(inputs) {
		return nil, "", fault.New(fault.Invalid, "the model reads %d columns, and the file has %d", len(inputs), len(at)).
			Hint("the first that it reads are %s", fieldNames(inputs))
	}
	for i, in := range inputs {
		p := ingest.Pick{Column: frame.Column{Name: in.Name, Type: in.Type}, At: i}
		if !sparse {
			p.At = at[i]
		}
		picks = append(picks, p)
	}
	return picks, positionNote(inputs, rows, len(at)), nil
}

func byName(inputs []model.Field, names []string) (picks []ingest.Pick, missing []model.Field) {
	at := make(map[string]int, len(names))
	for i, name := range slices.Backward(names) {
		at[underscored(name)] = i
	}
	for i, name := range slices.Backward(names) {
		at[name] = i // of two the first
	}
	for _, in := range inputs {
		i, ok := at[in.Name]
		if !ok {
			missing = append(missing, in)
			continue
		}
		picks = append(picks, ingest.Pick{Column: frame.Column{Name: in.Name, Type: in.Type}, At: i})
	}
	return picks, missing
}

// underscored is a name as LightGBM writes it into its models.
func underscored(name string) string { return strings.ReplaceAll(name, " ", "_") }

func missingInputs(missing []model.Field, names []string) error {
	var l fault.List
	for _, in := range missing {
		err := fault.New(fault.Invalid, "column %q is missing", in.Name)
		if near := fault.Nearest(in.Name, names); near != "" {
			err = err.Hint("did you mean %q?", near)
		} else {
			err = err.Hint("the model reads it as %s", in.Type)
		}
		l.Add(err)
	}
	return l.Err()
}

// remaining lists the positions of a file's columns without those dropped,
// each named or numbered from 0.
func remaining(rows *ingest.Rows, drop []string) ([]int, error) {
	var at []int
	dropped := map[int]bool{}
	for _, word := range drop {
		i := slices.Index(rows.Names(), word)
		if i < 0 {
			if n, err := fmt.Sscanf(word, "%d", &i); n != 1 || err != nil || i < 0 || i >= rows.Width() {
				return nil, fault.New(fault.Invalid, "the file has no column %q to drop", word).Hint("give a name, or a position from 0")
			}
		}
		dropped[i] = true
	}
	for i := range rows.Width() {
		if !dropped[i] {
			at = append(at, i)
		}
	}
	return at, nil
}

// positionNote tells a user that columns are taken by position.
func positionNote(inputs []model.Field, rows *ingest.Rows, given int) string {
	if rows.Width() == 0 {
		return fmt.Sprintf("the first column has the index %d", rows.SparseBase(len(inputs)))
	}
	why := "the model has no names for its columns"
	if !importer.Positional(inputs) {
		why = "the file has no names for its columns"
		if rows.Names() != nil {
			why = "no column of the file has a name that the model knows"
		}
	}
	note := why + ": they are taken by position"
	if given > len(inputs) {
		note += fmt.Sprintf(", the first %d of %d", len(inputs), given)
	}
	return note
}

// fieldNames names the first of some fields.
func fieldNames(fields []model.Field) string {
	const most = 5
	var names []string
	for _, f := range fields[:min(len(fields), most)] {
		names = append(names, f.Name)
	}
	if len(fields) > most {
		names = append(names, "…")
	}
	return strings.Join(names, ", ")
}
