package xgboost

import (
	"unicode/utf8"

	"github.com/leat-ai/leat/model/encode"
)

// categories are the values of a categorical feature, by code. Both are nil
// when they are not known.
type categories struct {
	texts  []string
	values []float64
}

// cats reads the container that files of 3.x have: for each feature its
// categories as numbers, as strings, or nothing.
func (d *document) cats() ([]categories, error) {
	var all []categories
	err := d.object(func(name string) error {
		if name != "enc" {
			return d.skip()
		}
		return d.array(func(t token) error {
			if t.kind != objectOpen {
				return d.wrong(t, "the categories of a feature")
			}
			if len(all) == encode.MaxColumns {
				return d.invalid("there are categories of more than %d features", encode.MaxColumns)
			}
			c, err := d.ofFeature()
			all = append(all, c)
			return err
		})
	})
	return all, err
}

// ofFeature reads the categories of a feature, whose object is open already.
// Strings lie one behind another, and offsets say where each begins; with
// those there is no offset, the values are numbers.
func (d *document) ofFeature() (categories, error) {
	var (
		offsets, bytes []int32
		values         []float64
	)
	err := d.members(func(name string) (err error) {
		switch {
		case name == "offsets":
			offsets, err = d.ints(nil)
		case name == "values" && len(offsets) > 0: // offsets come first, by the alphabet
			bytes, err = d.ints(nil)
		case name == "values":
			values, err = d.doubles()
		default:
			return d.skip()
		}
		return err
	})
	switch {
	case err != nil:
		return categories{}, err
	case len(values) > encode.MaxCategories, len(offsets) > encode.MaxCategories:
		return categories{}, d.invalid("a feature has more than %d categories", encode.MaxCategories)
	case len(offsets) > 1:
		return d.cut(offsets, bytes)
	case len(values) > 0:
		return categories{values: values}, nil
	}
	return categories{}, nil
}

// cut makes strings of their bytes, which may be written as signed ones.
func (d *document) cut(offsets, bytes []int32) (categories, error) {
	raw := make([]byte, len(bytes))
	for i, v := range bytes {
		raw[i] = byte(v)
	}
	all, empty := string(raw), 0
	for i, to := range offsets[1:] {
		from := offsets[i]
		if from < 0 || to < from || int(to) > len(all) {
			return categories{}, d.invalid("the category %d lies outside of their bytes", i)
		}
		if from == to {
			empty++
		}
	}
	if empty > 1 || !utf8.ValidString(all) {
		return categories{}, d.invalid("two categories are the same, or one is not UTF-8")
	}
	texts := make([]string, len(offsets)-1)
	for i := range texts {
		texts[i] = all[offsets[i]:offsets[i+1]]
	}
	return categories{texts: texts}, nil
}
