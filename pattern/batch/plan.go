package batch

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature/profile"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/work"
)

// plan is all that a run decides once. It is kept with the run, so that every
// later life does the same.
type plan struct {
	At       time.Time      `json:"at"`
	Release  string         `json:"release"`
	Pin      string         `json:"pin"` // of the source's content
	Snapshot int64          `json:"snapshot,omitempty"`
	Read     []frame.Column `json:"read"` // columns to read, with the types to hand to the path
	Keep     []string       `json:"keep,omitempty"`
	Key      string         `json:"key,omitempty"`
	Outputs  []frame.Column `json:"outputs"` // of the release
	Target   []frame.Column `json:"target"`  // of the sink
	Rows     int64          `json:"rows"`
	// Events are the snapshots of what windows are over, by source.
	Events map[string]int64 `json:"events,omitempty"`
	Chunks []Chunk          `json:"chunks"`
	// Unreadable are files of rows that never became rows of the source.
	Unreadable []string `json:"unreadable,omitempty"`
}

// The columns that a run adds to what the release puts out.
const (
	idColumn      = "decision_id"
	releaseColumn = "release"
	rowColumn     = "row" // the position, where the resource names nothing to keep
)

// failedColumns is the schema of the side table.
func failedColumns() []frame.Column {
	return []frame.Column{
		{Name: rowColumn, Type: frame.Int}, // position in the source, from 0; NULL of a row that could not be read
		{Name: "key", Type: frame.String},  // value of the key column, where there is one; file and line of a row that could not be read
		{Name: "kind", Type: frame.String}, // of the fault
		{Name: "reason", Type: frame.String},
		{Name: releaseColumn, Type: frame.String},
		{Name: "run", Type: frame.String},
	}
}

// plan pins the release and the source and cuts the source into chunks.
func (d Deps) plan(ctx context.Context, run string, b spec.Batch, progress *work.Progress) (plan, error) {
	p := plan{At: d.Clock.Now(), Key: b.Key}
	var err error
	if p.Release, err = d.Releases.Live(ctx, b.Score); err != nil {
		return plan{}, err
	}
	decider, err := d.Releases.Pin(ctx, p.Release)
	if err != nil {
		return plan{}, err
	}
	defer decider.Close()
	p.Outputs = decider.Outputs()
	if p.Events, err = d.events(ctx, decider); err != nil {
		return plan{}, err
	}
	source, err := d.source(ctx, run, b.From, "", progress)
	if err != nil {
		return plan{}, err
	}
	rows := b.Chunk
	if rows == 0 {
		rows = DefaultChunk
	}
	content, err := source.Plan(ctx, int64(rows))
	if err != nil {
		return plan{}, err
	}
	p.Pin, p.Snapshot, p.Chunks, p.Unreadable = content.Pin, content.Snapshot, content.Chunks, content.Unreadable
	for _, c := range p.Chunks {
		p.Rows += c.Rows
	}
	if err := p.columns(b, content.Columns, decider); err != nil {
		return plan{}, err
	}
	sink, _, err := d.sinks(ctx, run, b.To, p)
	if err != nil {
		return plan{}, err
	}
	return p, sink.Prepare(ctx)
}

// columns chooses what to read and lays out the target; every mistake is
// reported.
func (p *plan) columns(b spec.Batch, have []frame.Column, decider Decider) error {
	var mistakes fault.List
	read := map[string]bool{}
	for _, in := range decider.Inputs() {
		at := slices.IndexFunc(have, func(c frame.Column) bool { return c.Name == in.Name })
		switch {
		case at < 0 && in.Required:
			mistakes.Add(fault.New(fault.Invalid, "endpoint %q reads column %q, which %q does not have", b.Score, in.Name, b.From).
				Hint("it has %s", strings.Join(names(have), ", ")))
		case at >= 0 && !fits(have[at].Type, in.Type):
			mistakes.Add(fault.New(fault.Invalid, "column %q of %q is %s, endpoint %q reads %s", in.Name, b.From, have[at].Type, b.Score, in.Type).
				Hint("give it the type %s in the schema of its source", in.Type))
		case at >= 0:
			read[in.Name] = true
			p.Read = append(p.Read, frame.Column{Name: in.Name, Type: in.Type})
		}
	}
	p.Keep = b.Keep
	if len(p.Keep) == 0 && b.Key != "" {
		p.Keep = []string{b.Key}
	}
	for _, name := range append(slices.Clone(p.Keep), keyOf(b)...) {
		at := slices.IndexFunc(have, func(c frame.Column) bool { return c.Name == name })
		if at < 0 {
			mistakes.Add(fault.New(fault.Invalid, "%q has no column %q to keep", b.From, name).
				Hint("it has %s", strings.Join(names(have), ", ")))
		} else if !read[name] {
			read[name] = true
			p.Read = append(p.Read, have[at])
		}
	}
	mistakes.Add(p.layout())
	return mistakes.Err()
}

func keyOf(b spec.Batch) []string {
	if b.Key == "" {
		return nil
	}
	return []string{b.Key}
}

// fits tells whether a column can be handed to the path as another type.
func fits(have, want frame.Type) bool {
	return have == want || have == frame.Int && want == frame.Double
}

// layout puts the columns of the target in order: what is kept, the id, what
// the release puts out, the release.
func (p *plan) layout() error {
	var mistakes fault.List
	add := func(c frame.Column) {
		if slices.ContainsFunc(p.Target, func(t frame.Column) bool { return strings.EqualFold(t.Name, c.Name) }) {
			mistakes.Add(fault.New(fault.Invalid, "the output would have two columns %q", c.Name).
				Hint("do not keep the input column of that name"))
			return
		}
		p.Target = append(p.Target, c)
	}
	for _, name := range p.Keep {
		for _, c := range p.Read {
			if c.Name == name {
				add(c)
			}
		}
	}
	if len(p.Keep) == 0 {
		add(frame.Column{Name: rowColumn, Type: frame.Int})
	}
	add(frame.Column{Name: idColumn, Type: frame.String})
	for _, c := range p.Outputs {
		add(c)
	}
	add(frame.Column{Name: releaseColumn, Type: frame.String})
	return mistakes.Err()
}

func names(columns []frame.Column) []string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = c.Name
	}
	return out
}

// job is a run at work: its plan with what it needs open.
type job struct {
	run      string
	batch    spec.Batch
	plan     plan
	source   Source
	sink     Sink
	failures Sink
	decider  Decider
	recorder Recorder
	clock    clock.Clock
	scratch  string // of this run, or ""
	target   *arrow.Schema
	watch    Watch            // nil: nobody looks
	profile  *profile.Profile // nil: there is nothing to compare with
	found    *found
}

// open takes up a plan, in its first life or a later one.
func (d Deps) open(ctx context.Context, run string, b spec.Batch, p plan) (*job, error) {
	source, err := d.source(ctx, run, b.From, p.Pin, nil)
	if err != nil {
		return nil, err
	}
	sink, failures, err := d.sinks(ctx, run, b.To, p)
	if err != nil {
		return nil, err
	}
	decider, err := d.Releases.Pin(ctx, p.Release)
	if err != nil {
		return nil, err
	}
	var of *profile.Profile
	if d.Watch != nil {
		if of, err = d.Watch.Profile(ctx, p.Release); err != nil {
			decider.Close()
			return nil, err
		}
	}
	j := &job{
		watch: d.Watch, profile: of, run: run, batch: b, plan: p, source: source, sink: sink, failures: failures, decider: decider,
		recorder: d.Recorder, clock: d.Clock, scratch: d.scratch(run),
		target: frame.SchemaOf(p.Target),
	}
	j.found = &found{job: j, store: d.Features}
	return j, nil
}

// principal is who asks the path on behalf of a batch.
func principal(b spec.Batch) identity.Principal { return identity.Run(Kind, b.Name) }

const lakeScheme = "lake://"

// failedName names the side table of a target.
func failedName(to string) string {
	to = strings.TrimSuffix(to, "/")
	for _, ending := range []string{".parquet", ".csv"} {
		if stem, ok := strings.CutSuffix(to, ending); ok {
			return stem + "__failed" + ending
		}
	}
	if strings.HasPrefix(to, lakeScheme) {
		return to + "__failed"
	}
	return to + "__failed/"
}
