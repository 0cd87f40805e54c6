package mlflow

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/flow/track/filter"
)

// search is a search for models or versions.
type search struct {
	Filter  string   `json:"filter"`
	Most    *integer `json:"max_results"`
	OrderBy []string `json:"order_by"`
	Token   string   `json:"page_token"`
}

// Bounds of pages, as MLflow has them.
const (
	modelsPage   = 100
	mostModels   = 1000
	versionsPage = 200_000
	mostVersions = 200_000
)

type modelsAnswer struct {
	Models []modelMessage `json:"registered_models,omitempty"`
	Next   string         `json:"next_page_token,omitempty"`
}

func (m *surface) searchModels(ctx context.Context, q search) (modelsAnswer, error) {
	s, err := searchOf(q, modelTerms(), modelsPage, mostModels)
	if err != nil {
		return modelsAnswer{}, err
	}
	found, more, err := m.Registry.SearchModels(ctx, s)
	if err != nil {
		return modelsAnswer{}, err
	}
	a := modelsAnswer{Next: pageToken(s.Offset+len(found), more)}
	for _, model := range found {
		message, err := m.described(ctx, model)
		if fault.Is(err, fault.NotFound) {
			continue // it went meanwhile
		}
		if err != nil {
			return modelsAnswer{}, err
		}
		a.Models = append(a.Models, message)
	}
	return a, nil
}

func (m *surface) searchVersions(ctx context.Context, q search) (versionsAnswer, error) {
	if len(q.OrderBy) == 0 {
		q.OrderBy = []string{"last_updated_timestamp DESC", "name ASC", "version_number DESC"}
	}
	s, err := searchOf(q, versionTerms(), versionsPage, mostVersions)
	if err != nil {
		return versionsAnswer{}, err
	}
	found, more, err := m.Registry.SearchVersions(ctx, s)
	a := versionsAnswer{Next: pageToken(s.Offset+len(found), more)}
	for _, e := range found {
		a.Versions = append(a.Versions, messageOfVersion(e))
	}
	return a, err
}

// terms are what a search may name.
type terms[T any] struct {
	text    map[string]func(T) string
	number  map[string]func(T) int64
	listed  []string // texts that IN and NOT IN may be asked of
	tags    func(T) map[string]string
	model   string // the text that is the name of a model
	run     string // the text that is the id of a run, "" for none
	order   map[string]func(a, b T) int
	natural []func(a, b T) int // what decides between equals
}

func modelTerms() terms[registry.Model] {
	type model = registry.Model
	name := func(a, b model) int { return cmp.Compare(a.Name, b.Name) }
	updated := func(a, b model) int { return a.UpdatedAt.Compare(b.UpdatedAt) }
	return terms[model]{
		text:    map[string]func(model) string{"name": func(m model) string { return m.Name }},
		listed:  []string{"name"},
		tags:    func(m model) map[string]string { return m.Tags },
		model:   "name",
		order:   map[string]func(a, b model) int{"name": name, "timestamp": updated, "last_updated_timestamp": updated},
		natural: []func(a, b model) int{name},
	}
}

func versionTerms() terms[registry.Head] {
	type head = registry.Head
	name := func(a, b head) int { return cmp.Compare(a.Model, b.Model) }
	number := func(a, b head) int { return cmp.Compare(a.Number, b.Number) }
	return terms[head]{
		text: map[string]func(head) string{
			"name":        func(h head) string { return h.Model },
			"run_id":      func(h head) string { return h.Run },
			"source_path": func(h head) string { return cmp.Or(h.Source, ownAddress(h.Model, h.Number)) },
		},
		number: map[string]func(head) int64{
			"version_number":         func(h head) int64 { return int64(h.Number) },
			"creation_timestamp":     func(h head) int64 { return h.CreatedAt.UnixMilli() },
			"last_updated_timestamp": func(h head) int64 { return h.UpdatedAt.UnixMilli() },
		},
		listed: []string{"name", "run_id"},
		tags:   func(h head) map[string]string { return h.Tags },
		model:  "name",
		run:    "run_id",
		order: map[string]func(a, b head) int{
			"name": name, "version_number": number,
			"creation_timestamp":     func(a, b head) int { return a.CreatedAt.Compare(b.CreatedAt) },
			"last_updated_timestamp": func(a, b head) int { return a.UpdatedAt.Compare(b.UpdatedAt) },
		},
		natural: []func(a, b head) int{name, func(a, b head) int { return number(b, a) }},
	}
}

// searchOf reads a search's filter, order and page.
func searchOf[T any](q search, t terms[T], page, most int) (s registry.Search[T], err error) {
	if s.Limit, err = pageSize(q.Most, page, most); err != nil {
		return s, err
	}
	if s.Offset, err = pageStart(q.Token); err != nil {
		return s, err
	}
	if s.Compare, err = t.compare(q.OrderBy); err != nil {
		return s, err
	}
	clauses, err := filter.Parse(q.Filter)
	if err != nil {
		return s, err
	}
	keep := []func(T) bool{t.noPrompts(clauses)}
	for _, c := range clauses {
		k, err := t.clause(c)
		if err != nil {
			return s, err
		}
		keep = append(keep, k)
		if c.Op == filter.Equal && isAttribute(c.Field) {
			switch c.Field.Key {
			case t.model:
				s.Model = c.Value.Text
			case t.run:
				s.Run = c.Value.Text
			}
		}
	}
	s.Keep = func(item T) bool {
		for _, k := range keep {
			if !k(item) {
				return false
			}
		}
		return true
	}
	return s, nil
}

func isAttribute(f filter.Field) bool {
	return slices.Contains([]string{"", "attribute", "attributes", "attr"}, f.Entity)
}

func isTag(f filter.Field) bool {
	return slices.Contains([]string{"tag", "tags"}, f.Entity)
}

// clause makes a comparison executable.
func (t terms[T]) clause(c filter.Clause) (func(T) bool, error) {
	switch {
	case isTag(c.Field):
		return t.tagClause(c)
	case !isAttribute(c.Field):
		return nil, fault.New(fault.Invalid, "Invalid entity type '%s'", c.Field.Entity).Hint("use an attribute such as name, or tags.key")
	}
	if of, ok := t.number[c.Field.Key]; ok {
		if !c.Op.Numeric() || c.Value.Kind != filter.Number {
			return nil, fault.New(fault.Invalid, "Invalid comparator or value for attribute %s: %s", c.Field.Key, c.Op).Hint("compare it with a whole number")
		}
		return func(item T) bool { return c.Op.Number(float64(of(item)), c.Value.Number) }, nil
	}
	of, ok := t.text[c.Field.Key]
	if !ok {
		return nil, fault.New(fault.Invalid, "Invalid attribute name: %.80s", c.Field.Key)
	}
	if err := textual(c, slices.Contains(t.listed, c.Field.Key)); err != nil {
		return nil, err
	}
	return func(item T) bool { return c.Op.Text(of(item), c.Value) }, nil
}

// textual checks that a comparison is one of texts.
func textual(c filter.Clause, lists bool) error {
	ok := slices.Contains([]filter.Op{filter.Equal, filter.NotEqual, filter.Like, filter.ILike}, c.Op) && c.Value.Kind == filter.Text ||
		lists && slices.Contains([]filter.Op{filter.In, filter.NotIn}, c.Op)
	if ok {
		return nil
	}
	return fault.New(fault.Invalid, "Invalid comparator or value for %s: %s", c.Field, c.Op).Hint("compare it with a text in quotes by =, !=, LIKE or ILIKE")
}

// tagClause is a comparison with a tag; what has no such tag is not found,
// whatever the comparison.
func (t terms[T]) tagClause(c filter.Clause) (func(T) bool, error) {
	if c.Field.Key == promptTag {
		return func(T) bool { return true }, nil // see noPrompts
	}
	if err := textual(c, false); err != nil {
		return nil, err
	}
	return func(item T) bool {
		value, ok := t.tags(item)[c.Field.Key]
		return ok && c.Op.Text(value, c.Value)
	}, nil
}

// promptTag marks what MLflow's clients keep in the registry and is no model.
const promptTag = "mlflow.prompt.is_prompt"

// noPrompts leaves prompts out, or, where a filter asks for them, everything
// else.
func (t terms[T]) noPrompts(clauses []filter.Clause) func(T) bool {
	wanted := false
	for _, c := range clauses {
		if isTag(c.Field) && c.Field.Key == promptTag {
			yes := strings.EqualFold(c.Value.Text, "true")
			wanted = yes && c.Op == filter.Equal || !yes && c.Op == filter.NotEqual
			break
		}
	}
	return func(item T) bool { return strings.EqualFold(t.tags(item)[promptTag], "true") == wanted }
}

// compare reads an order; what is equal by it is in the natural one.
func (t terms[T]) compare(orderBy []string) (func(a, b T) int, error) {
	var by []func(a, b T) int
	var seen []string
	for _, text := range orderBy {
		o, err := filter.ParseOrder(text)
		if err != nil {
			return nil, err
		}
		f, ok := t.order[o.Field.Key]
		if !ok || !isAttribute(o.Field) {
			return nil, fault.New(fault.Invalid, "Invalid order by key '%s' specified.", o.Field)
		}
		if slices.Contains(seen, o.Field.Key) {
			return nil, fault.New(fault.Invalid, "`order_by` contains duplicate fields: %s", strings.Join(orderBy, ", "))
		}
		seen = append(seen, o.Field.Key)
		if o.Descending {
			by = append(by, func(a, b T) int { return f(b, a) })
		} else {
			by = append(by, f)
		}
	}
	by = append(by, t.natural...)
	return func(a, b T) int {
		for _, f := range by {
			if c := f(a, b); c != 0 {
				return c
			}
		}
		return 0
	}, nil
}
