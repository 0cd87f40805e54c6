package spec

import (
	"slices"
	"strings"

	"github.com/leat-ai/leat/base/expr"
	"github.com/leat-ai/leat/base/frame"
)

// Trigger starts something because of an event of the house: a file landed, a
// run finished, a signal fired. Each event starts it once.
type Trigger struct {
	// Name of the trigger.
	Name string `json:"name" spec:"required"`
	// On names the types of events, such as source.ingested or run.failed; one
	// alone needs no brackets.
	On Names `json:"on" spec:"required"`
	// Where is a condition over the fields of the event. A field that an event
	// of its type does not have is NULL.
	Where string `json:"where,omitempty" spec:"expr"`
	// Start is what the event starts.
	Start TriggerStart `json:"start" spec:"required"`
	// Owner is who answers for it.
	Owner string `json:"owner,omitempty"`
}

// TriggerStart is what an event starts.
type TriggerStart struct {
	// Pipeline to run.
	Pipeline string `json:"pipeline,omitempty" spec:"oneof,ref=Pipeline"`
	// Batch to run.
	Batch string `json:"batch,omitempty" spec:"oneof,ref=Batch"`
	// Source to ingest.
	Source string `json:"source,omitempty" spec:"oneof,ref=Source"`
	// Knowledge to bring up to date.
	Knowledge string `json:"knowledge,omitempty" spec:"oneof,ref=Knowledge"`
	// Webhook is the https:// address that is told of the event, as a
	// CloudEvent.
	Webhook string `json:"webhook,omitempty" spec:"oneof,location"`
	// Secret that what the webhook is told is signed with.
	Secret string `json:"secret,omitempty" spec:"secret"`
}

// Kind returns KindTrigger.
func (t *Trigger) Kind() Kind { return KindTrigger }

func (t *Trigger) name() string { return t.Name }

// Target returns the kind and name of the resource that is run; both are empty
// for a webhook.
func (s TriggerStart) Target() (Kind, string) {
	switch {
	case s.Pipeline != "":
		return KindPipeline, s.Pipeline
	case s.Batch != "":
		return KindBatch, s.Batch
	case s.Source != "":
		return KindSource, s.Source
	case s.Knowledge != "":
		return KindKnowledge, s.Knowledge
	}
	return "", ""
}

// EventType is a sort of event of the house.
type EventType struct {
	Name   string
	What   string         // when it happens
	Fields []frame.Column // what it says besides the fields of every event
}

// Types of events.
const (
	EventFileLanded     = "file.landed"
	EventSourceIngested = "source.ingested"
	EventSchemaChanged  = "schema.changed"
	EventRunFinished    = "run.finished"
	EventRunFailed      = "run.failed"
	EventVersion        = "version.registered"
	EventAlias          = "alias.moved"
	EventRelease        = "release.live"
	EventSignal         = "signal.fired"
	EventStreamDead     = "stream.dead"
	EventKnowledge      = "knowledge.built"
	EventKnowledgeBad   = "knowledge.failed"
)

// EventTypes lists the sorts of events, with what they say.
func EventTypes() []EventType {
	str := func(names ...string) (out []frame.Column) {
		for _, n := range names {
			out = append(out, frame.Column{Name: n, Type: frame.String})
		}
		return out
	}
	with := func(columns []frame.Column, t frame.Type, names ...string) []frame.Column {
		for _, n := range names {
			columns = append(columns, frame.Column{Name: n, Type: t})
		}
		return columns
	}
	return []EventType{
		{EventFileLanded, "a file of a source is there and has stopped growing", with(str("source", "file"), frame.Int, "bytes")},
		{EventSourceIngested, "a source has new rows in its table", with(str("source", "run"), frame.Int, "rows", "quarantined", "snapshot")},
		{EventSchemaChanged, "a source has columns that it did not have, or of another type", str("source", "run", "added", "changed")},
		{EventRunFinished, "a run succeeded", with(str("run", "kind", "name"), frame.Double, "seconds")},
		{EventRunFailed, "a run failed; not one that was cancelled", with(str("run", "kind", "name", "reason"), frame.Double, "seconds")},
		{EventVersion, "a model has a new version", with(str("model", "run"), frame.Int, "version")},
		{EventAlias, "an alias of a model points at another version, or was removed", with(str("model", "alias"), frame.Int, "version")},
		{EventRelease, "an endpoint has another live release, or none", with(str("endpoint", "release", "why"), frame.Int, "number")},
		{EventSignal, "a reading of a monitor is over its threshold", with(str("monitor", "signal", "endpoint"), frame.Double, "value", "threshold")},
		{EventStreamDead, "events of a stream went to its dead letters", with(str("stream", "stage", "reason"), frame.Int, "events")},
		{EventKnowledge, "a knowledge has another live snapshot", with(str("knowledge", "run", "snapshot"), frame.Int, "documents", "passages", "changed", "errors")},
		{EventKnowledgeBad, "a knowledge was not brought up to date, or its new snapshot did not pass the gate", str("knowledge", "run", "reason")},
	}
}

// EventColumns are the fields that every event has.
func EventColumns() []frame.Column {
	return []frame.Column{{Name: "id", Type: frame.String}, {Name: "type", Type: frame.String}, {Name: "subject", Type: frame.String},
		{Name: "by", Type: frame.String}, {Name: "at", Type: frame.Timestamp}}
}

// FindEventType returns a sort of event by its name.
func FindEventType(name string) (EventType, bool) {
	all := EventTypes()
	i := slices.IndexFunc(all, func(t EventType) bool { return t.Name == name })
	if i < 0 {
		return EventType{}, false
	}
	return all[i], true
}

// Fields are the columns that a trigger's condition may read: those of every
// event, and those of the types that it waits for.
func (t *Trigger) Fields() []frame.Column {
	columns := EventColumns()
	for _, on := range t.On {
		of, _ := FindEventType(on)
		for _, f := range of.Fields {
			if !slices.Contains(columns, f) {
				columns = append(columns, f)
			}
		}
	}
	return columns
}

func (t *Trigger) check(c *checker) {
	var known []string
	for _, e := range EventTypes() {
		known = append(known, e.Name)
	}
	for i, on := range t.On {
		if !slices.Contains(known, on) && on != "" {
			c.bad(element("on", i), "no event is called %s", quote([]byte(on))).Hint("%s", meant(on, known))
			c.failed["where"] = true // its fields are not known
		}
	}
	if t.Where != "" && !c.failed["where"] {
		if typ, ok := c.bind(t.Where, "where", newTable("the event", t.Fields())); ok && typ != frame.Bool {
			c.bad("where", "%s is a %s, not a condition", label("where"), typ).Hint("compare it with something, as in source = 'orders'")
		}
	}
	if t.Start.Webhook != "" {
		c.scheme(t.Start.Webhook, "start.webhook", "https", "http")
	} else if t.Start.Secret != "" {
		c.bad("start.secret", "%s is for a webhook, and this starts none", label("start.secret"))
	}
}

// happening is an event that a run brings about, as far as it is known before:
// the values of some of its fields.
type happening struct {
	typ   string
	known map[string]string
}

// matches tells whether a trigger may start because of an event. Only where
// what is known makes its condition false does it say no.
func (t *Trigger) matches(h happening) bool {
	if !slices.Contains(t.On, h.typ) {
		return false
	}
	if t.Where == "" {
		return true
	}
	e, err := expr.Parse(t.Where)
	if err != nil {
		return false // a mistake of its own
	}
	env := map[string]expr.Value{}
	for _, f := range t.Fields() {
		env[f.Name] = expr.Null(f.Type)
	}
	env["type"] = expr.String(h.typ)
	for name, text := range h.known {
		if _, ok := env[name]; ok {
			env[name] = expr.String(text)
		}
	}
	v, err := e.EvalScalar(env)
	return err == nil && (!v.Valid || v.B)
}

// happenings are the events that a run of a resource brings about.
func happenings(s Spec) []happening {
	ended := func(kind, name string) []happening {
		known := map[string]string{"kind": kind, "name": name, "subject": name}
		return []happening{{EventRunFinished, known}, {EventRunFailed, known}}
	}
	ingested := func(name string) []happening {
		known := map[string]string{"source": name, "subject": name}
		return []happening{{EventSourceIngested, known}, {EventSchemaChanged, known}}
	}
	switch s := s.(type) {
	case *Source:
		return append(ended("ingest", s.Name), ingested(s.Name)...)
	case *Batch:
		return ended("batch", s.Name)
	case *Knowledge:
		known := map[string]string{"knowledge": s.Name, "subject": s.Name}
		return append(ended("knowledge", s.Name), happening{EventKnowledge, known}, happening{EventKnowledgeBad, known})
	case *Pipeline:
		out := ended("pipeline", s.Name)
		model := ""
		for _, step := range s.Steps {
			switch {
			case step.Ingest != nil:
				for _, name := range step.Ingest.Sources {
					out = append(out, ingested(name)...)
				}
			case step.Batch != nil:
				out = append(out, ended("batch", step.Batch.Name)...)
			case step.Train != nil:
				model = step.Train.Model
			case step.Register != nil:
				out = append(out, happening{EventVersion, map[string]string{"model": model, "subject": model}},
					happening{EventAlias, map[string]string{"model": model, "subject": model, "alias": step.Register.Alias}})
			case step.Deploy != nil:
				out = append(out, happening{EventRelease, map[string]string{"endpoint": step.Deploy.Endpoint, "subject": step.Deploy.Endpoint}},
					happening{EventAlias, map[string]string{"model": model, "subject": model}})
			}
		}
		return out
	}
	return nil
}

// circles finds triggers that would start themselves again and again: what
// they start brings about an event that, perhaps through others, starts it
// anew.
func (l *loader) circles() {
	byID := map[string]Spec{}
	var triggers []*Trigger
	for _, x := range l.checked {
		byID[string(x.kind)+"/"+x.name] = x.spec
		if t, ok := x.spec.(*Trigger); ok {
			triggers = append(triggers, t)
		}
	}
	next := func(t *Trigger) (out []*Trigger) {
		kind, name := t.Start.Target()
		for _, h := range happenings(byID[string(kind)+"/"+name]) {
			for _, other := range triggers {
				if other.matches(h) && !slices.Contains(out, other) {
					out = append(out, other)
				}
			}
		}
		return out
	}
	for _, x := range l.checked {
		t, ok := x.spec.(*Trigger)
		if !ok {
			continue
		}
		if way := circle(t, next); way != nil {
			_, name := t.Start.Target()
			x.bad("start", "Trigger %q would start %s again and again: %s", t.Name, quote([]byte(name)), strings.Join(way, " → ")).
				Hint("say in where which events are not its own, as in where: \"name <> '%s'\"", name)
		}
	}
}

// circle finds a way from a trigger back to itself, or nil: the names of the
// triggers on it.
func circle(from *Trigger, next func(*Trigger) []*Trigger) []string {
	before := map[*Trigger]*Trigger{}
	for todo := []*Trigger{from}; len(todo) > 0; todo = todo[1:] {
		for _, t := range next(todo[0]) {
			if t == from {
				way := []string{from.Name}
				for at := todo[0]; at != from; at = before[at] {
					way = append(way, at.Name)
				}
				way = append(way, from.Name)
				slices.Reverse(way)
				return way
			}
			if _, seen := before[t]; !seen {
				before[t] = todo[0]
				todo = append(todo, t)
			}
		}
	}
	return nil
}
