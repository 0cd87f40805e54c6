package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Action says what a plan does to a resource.
type Action string

// The actions.
const (
	Create Action = "create"
	Update Action = "update"
	Delete Action = "delete"
)

// Plan is what turns one set of resources into another: creations and updates
// by kind in the order of Kinds (what is referred to comes before what refers
// to it), then deletions in the opposite order.
type Plan struct {
	Changes []Change `json:"changes"`
	// Notes say what else an apply would do, a sentence each: the versions of
	// declared models that it would register.
	Notes []string `json:"notes,omitempty"`
}

// Change is what a plan does to one resource.
type Change struct {
	Action Action       `json:"action"`
	Kind   Kind         `json:"kind"`
	Name   string       `json:"name"`
	Fields []Difference `json:"fields,omitempty"` // of an update: what differs
	Old    *Resource    `json:"-"`                // nil for a create
	New    *Resource    `json:"-"`                // nil for a delete
}

// Difference is one field that an update changes.
type Difference struct {
	Path string          `json:"path"`          // limits.rate, steps[0].train.seed
	Old  json.RawMessage `json:"old,omitempty"` // absent where the field is new
	New  json.RawMessage `json:"new,omitempty"` // absent where the field goes away
}

// Diff compares two sets of resources, each with at most one of a kind and
// name. Positions do not count.
func Diff(old, now []Resource) Plan {
	before, after := byID(old), byID(now)
	p := Plan{Changes: []Change{}} // in JSON a list, also when empty
	for _, r := range sorted(slices.Clone(now)) {
		was, existed := before[r.ID()]
		switch {
		case !existed:
			p.Changes = append(p.Changes, Change{Action: Create, Kind: r.Kind, Name: r.Name, New: &r})
		case was.Hash != r.Hash:
			p.Changes = append(p.Changes, Change{Action: Update, Kind: r.Kind, Name: r.Name,
				Fields: differences(was.Spec, r.Spec), Old: &was, New: &r})
		}
	}
	gone := sorted(slices.Clone(old))
	slices.Reverse(gone)
	for _, r := range gone {
		if _, stays := after[r.ID()]; !stays {
			p.Changes = append(p.Changes, Change{Action: Delete, Kind: r.Kind, Name: r.Name, Old: &r})
		}
	}
	return p
}

func byID(resources []Resource) map[string]Resource {
	m := make(map[string]Resource, len(resources))
	for _, r := range resources {
		m[r.ID()] = r
	}
	return m
}

// Empty tells whether there is nothing to do.
func (p Plan) Empty() bool { return len(p.Changes) == 0 }

// Count returns how many changes have an action.
func (p Plan) Count(a Action) int {
	n := 0
	for _, c := range p.Changes {
		if c.Action == a {
			n++
		}
	}
	return n
}

// Apply returns what the plan makes of a set of resources, sorted as Load
// sorts them. It changes neither.
func (p Plan) Apply(old []Resource) []Resource {
	m := byID(old)
	for _, c := range p.Changes {
		if c.New == nil {
			delete(m, c.Old.ID())
			continue
		}
		m[c.New.ID()] = *c.New
	}
	return sorted(slices.Collect(maps.Values(m)))
}

// String renders the plan for people: a line a resource, a line a field.
func (p Plan) String() string {
	if p.Empty() {
		return "nothing to change\n"
	}
	signs := map[Action]string{Create: "+", Update: "~", Delete: "-"}
	var b strings.Builder
	for _, c := range p.Changes {
		fmt.Fprintf(&b, "%s %s %s\n", signs[c.Action], c.Kind, c.Name)
		for _, d := range c.Fields {
			fmt.Fprintf(&b, "    %s: %s\n", d.Path, d.text())
		}
	}
	fmt.Fprintf(&b, "%d to create, %d to change, %d to delete\n", p.Count(Create), p.Count(Update), p.Count(Delete))
	return b.String()
}

func (d Difference) text() string {
	switch {
	case d.Old == nil:
		return "+ " + shorten(d.New)
	case d.New == nil:
		return "- " + shorten(d.Old)
	}
	return shorten(d.Old) + " → " + shorten(d.New)
}

func shorten(value []byte) string {
	const most = 100
	if runes := []rune(string(value)); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return string(value)
}

// differences lists what differs between the canonical JSON of two specs, in
// the order of the old one's fields and then of the new one's.
func differences(old, now Spec) []Difference {
	var all []Difference
	compare("", canonical(old), canonical(now), &all)
	return all
}

func compare(path string, old, now json.RawMessage, all *[]Difference) {
	if bytes.Equal(old, now) {
		return
	}
	if oldFields, newFields := members(old), members(now); oldFields != nil && newFields != nil {
		if compareObjects(path, oldFields, newFields, all) {
			return
		}
	}
	oldItems, newItems := items(old), items(now)
	if len(oldItems) > 0 && len(newItems) > 0 && old[1] == '{' && now[1] == '{' {
		for i := range max(len(oldItems), len(newItems)) {
			compare(element(path, i), at(oldItems, i), at(newItems, i), all)
		}
		return
	}
	*all = append(*all, Difference{Path: path, Old: old, New: now})
}

// compareObjects compares field by field. It finds nothing where only the
// order of an ordered mapping differs, and tells so.
func compareObjects(path string, old, now []member, all *[]Difference) (found bool) {
	before := len(*all)
	for _, m := range old {
		compare(below(path, m.name), m.value, value(now, m.name), all)
	}
	for _, m := range now {
		if value(old, m.name) == nil {
			*all = append(*all, Difference{Path: below(path, m.name), New: m.value})
		}
	}
	return len(*all) > before
}

// member is a field of a JSON object, in the order it is written.
type member struct {
	name  string
	value json.RawMessage
}

func value(all []member, name string) json.RawMessage {
	for _, m := range all {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// members takes an object apart; nil for anything else.
func members(data json.RawMessage) []member {
	dec := json.NewDecoder(bytes.NewReader(data))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return nil
	}
	all := []member{}
	for dec.More() {
		tok, err := dec.Token()
		name, ok := tok.(string)
		if err != nil || !ok {
			return nil
		}
		var v json.RawMessage
		if err := dec.Decode(&v); err != nil {
			return nil
		}
		all = append(all, member{name, v})
	}
	return all
}

func items(data json.RawMessage) []json.RawMessage {
	var list []json.RawMessage
	if err := json.Unmarshal(data, &list); err != nil {
		return nil
	}
	return list
}

func at(list []json.RawMessage, i int) json.RawMessage {
	if i < len(list) {
		return list[i]
	}
	return nil
}
