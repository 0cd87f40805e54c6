package stream

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/expr"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature/window"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/pattern/stream/codec"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/bus"
)

// Kind is what a stream is called in the name of who decides.
const Kind = "stream"

// RunOf names the decisions of a stream, the same for the same events until
// somebody seeks back.
func RunOf(stream string, generation int64) string {
	if generation == 0 {
		return Kind + "/" + stream
	}
	return Kind + "/" + stream + "~" + strconv.FormatInt(generation, 10)
}

// open makes a session: what the resource says is compiled, targets and source
// are opened, partitions claimed.
func (r *runner) open(ctx context.Context, c control) (s *session, err error) {
	s = &session{
		deps: r.deps, spec: r.spec, ledger: r.ledger, log: r.log, report: &r.report, metrics: r.metrics, control: c,
		principal: identity.Run(Kind, r.spec.Name), run: RunOf(r.spec.Name, c.generation),
		bounds: deadBounds{int64(r.spec.Dead.Max), int64(r.spec.Dead.Bytes)}, lateness: r.spec.Lateness.Std().Microseconds(),
		parts: map[string]*partition{}, seen: newSeen(r.spec.Remember), ending: make(chan struct{}),
		to: -1, late: -1, keepTarget: -1,
	}
	if c.generation > 0 {
		s.again = "~" + strconv.FormatInt(c.generation, 10)
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	for _, f := range []func(context.Context) error{s.openCodec, s.openSteps, s.openViews, s.openTargets, s.openSource} {
		if err := f(ctx); err != nil {
			return s, err
		}
	}
	return s, nil
}

// close lets everything go. What is claimed others may claim at once.
func (s *session) close() {
	if s.reader != nil {
		if err := s.reader.Close(); err != nil {
			s.log.Warn("the reader of a stream did not close", "error", err)
		}
	}
	s.mu.Lock()
	parts := slices.Collect(maps.Values(s.parts))
	s.mu.Unlock()
	s.giveBack(parts)
	var errs []error
	for _, t := range s.targets {
		errs = append(errs, t.Close())
	}
	for _, st := range s.steps {
		if st.function != nil {
			errs = append(errs, st.function.Close())
		}
	}
	if s.source != nil {
		errs = append(errs, s.source.Close())
	}
	if err := errors.Join(errs...); err != nil {
		s.log.Warn("not everything of a stream closed", "error", err)
	}
}

func (s *session) openCodec(ctx context.Context) (err error) {
	if s.codec, err = s.deps.Codec(ctx, s.spec); err != nil {
		return err
	}
	if s.json, err = codec.New(codec.Config{Format: "json", Columns: codec.Columns([]frame.Column{{Name: "id", Type: frame.String}}, nil)}); err != nil {
		return err
	}
	s.columns, err = frame.ColumnsOf(s.codec.Schema())
	return err
}

// openSteps compiles the steps, each for the columns that the one before
// leaves.
func (s *session) openSteps(ctx context.Context) error {
	for i, st := range s.spec.Steps {
		compiled, err := s.compile(ctx, st)
		if err != nil {
			return fault.Wrap(err, fault.KindOf(err), "step %d of stream %q", i+1, s.spec.Name)
		}
		compiled.schema = frame.SchemaOf(compiled.columns)
		s.steps = append(s.steps, compiled)
		s.columns = compiled.columns
	}
	var mistakes fault.List
	find := func(name string) int {
		at := slices.IndexFunc(s.columns, func(c frame.Column) bool { return c.Name == name })
		if name != "" && at < 0 {
			mistakes.Add(fault.New(fault.Invalid, "stream %q has no column %q", s.spec.Name, name))
		}
		return at
	}
	s.idColumn, s.timeColumn, s.keyColumn = find(s.spec.ID), find(s.spec.Timestamp), find(s.spec.Key)
	return mistakes.Err()
}

func (s *session) compile(ctx context.Context, st spec.StreamStep) (step, error) {
	switch {
	case st.Where != "":
		program, err := bind(st.Where, s.columns)
		if err == nil && program.Type() != frame.Bool {
			err = fault.New(fault.Invalid, "%q is a %s, not a condition", st.Where, program.Type())
		}
		return step{where: program, columns: s.columns}, err
	case st.Function != nil:
		if s.deps.Function == nil {
			return step{}, fault.New(fault.Unsupported, "functions are not built in here")
		}
		f, err := s.deps.Function(ctx, *st.Function, s.columns)
		if err != nil {
			return step{}, err
		}
		return step{function: f, columns: f.Schema()}, nil
	}
	return compileMap(st.Map, s.columns)
}

func compileMap(exprs map[string]string, before []frame.Column) (step, error) {
	m := step{columns: slices.Clone(before), copied: make([]int, len(before)), programs: make([]*expr.Program, len(before))}
	for i := range before {
		m.copied[i] = i
	}
	for _, name := range slices.Sorted(maps.Keys(exprs)) {
		program, err := bind(exprs[name], before)
		if err != nil {
			return m, err
		}
		at := slices.IndexFunc(m.columns, func(c frame.Column) bool { return c.Name == name })
		if at < 0 {
			at = len(m.columns)
			m.columns = append(m.columns, frame.Column{Name: name})
			m.copied, m.programs = append(m.copied, -1), append(m.programs, nil)
		}
		m.columns[at].Type, m.copied[at], m.programs[at] = program.Type(), -1, program
	}
	return m, nil
}

func bind(text string, columns []frame.Column) (*expr.Program, error) {
	e, err := expr.Parse(text)
	if err != nil {
		return nil, err
	}
	return e.Bind(columns)
}

// openViews compiles the views that the events feed, and finds their columns.
func (s *session) openViews(ctx context.Context) error {
	if len(s.spec.Update) == 0 {
		return nil
	}
	if s.deps.Views == nil {
		return fault.New(fault.Unsupported, "stream %q updates feature views, and there are none here", s.spec.Name)
	}
	views, err := s.deps.Views(ctx, s.spec.Update)
	if err != nil {
		return err
	}
	var hashes []string
	for _, v := range views {
		plan, err := window.Compile(v, s.columns)
		if err != nil {
			return fault.Wrap(err, fault.KindOf(err), "the events of stream %q do not feed it", s.spec.Name)
		}
		s.views = append(s.views, plan)
		hashes = append(hashes, v.Name+" "+plan.Hash())
		for _, c := range plan.Reads() {
			if !slices.Contains(s.reads, c) {
				s.reads = append(s.reads, c)
				s.readsAt = append(s.readsAt, slices.Index(s.columns, c))
			}
		}
	}
	s.plans = strings.Join(hashes, "\n")
	s.readsSchema = frame.SchemaOf(s.reads)
	return nil
}

func (s *session) openTargets(ctx context.Context) error {
	places := map[string]int{}
	find := func(to string) (int, error) {
		if to == "" {
			return -1, nil
		}
		if at, ok := places[to]; ok {
			return at, nil
		}
		t, err := s.deps.Topics.Target(ctx, s.spec, to)
		if err != nil {
			return -1, fault.Wrap(err, fault.KindOf(err), "%s", to)
		}
		_, exact := t.(Exact)
		_, tabular := t.(Tabular)
		s.targets = append(s.targets, target{to, t, exact, exact || tabular})
		places[to] = len(s.targets) - 1
		return places[to], nil
	}
	var err error
	if s.keepTarget, err = find(s.spec.Keep); err != nil {
		return err
	}
	for _, r := range s.spec.Route {
		when, err := expr.Parse(r.When)
		if err != nil {
			return err
		}
		at, err := find(r.To)
		if err != nil {
			return err
		}
		s.routes = append(s.routes, route{when, at})
	}
	if s.to, err = find(s.spec.To); err != nil {
		return err
	}
	s.late, err = find(s.spec.Late)
	return err
}

// openSource claims partitions and begins to read.
func (s *session) openSource(ctx context.Context) (err error) {
	if s.source, err = s.deps.Topics.Source(ctx, s.spec, s.spec.From); err != nil {
		return err
	}
	s.positioned = s.source.Positioned()
	o := bus.ReadOptions{Group: "leat-" + s.spec.Name, Assigned: s.assigned, Lost: s.lost, Buffer: 2 * maxChunk}
	if !s.positioned {
		if _, err := s.acquire(ctx, []string{s.queuePart()}); err != nil {
			return err
		}
	} else if o.Partitions, err = s.share(ctx); err != nil {
		return err
	}
	s.reader, err = s.source.Reader(ctx, o)
	return err
}

// share finds the partitions to read where no broker shares them out: those
// that nobody has, and of those that somebody else has, none. It waits while
// there are none.
func (s *session) share(ctx context.Context) ([]string, error) {
	all, err := s.source.Partitions(ctx)
	if err != nil || all == nil {
		return nil, err
	}
	for {
		s.others = nil
		var mine []string
		for _, name := range all {
			_, ok, err := s.ledger.claim(ctx, name, -1)
			switch {
			case err != nil:
				return nil, err
			case ok:
				mine = append(mine, name)
			default:
				s.others = append(s.others, name)
			}
		}
		if len(mine) > 0 || len(all) == 0 {
			return mine, nil
		}
		p, err := s.claim(ctx, all[rand.IntN(len(all))])
		if err != nil {
			return nil, err
		}
		_ = p // it is ours now, and the next round finds it so
	}
}

// published is the id of what is published of an event. After a seek back it
// is another, because what was published before is to be published again.
func (s *session) published(name string) string { return name + s.again }

// errChanged ends a session because somebody paused the stream, sought, or
// gave partitions up.
var errChanged = errors.New("the stream was changed")

// look is how often the catalog is asked for what people have said.
const look = time.Second

// watch follows what people say about the stream, gives signs of life, and
// measures.
func (s *session) watch(ctx context.Context) {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	alive := s.deps.Elapsed()
	silent := map[string]silence{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.ending:
			return
		case <-ticker.C:
		}
		c, err := s.ledger.control(ctx)
		if err == nil && c.revision != s.control.revision {
			s.end(errChanged)
			return
		}
		if s.deps.Shared && s.deps.Elapsed()-alive > s.deps.Lease/4 {
			if err := s.ledger.live(ctx); err == nil {
				alive = s.deps.Elapsed()
			}
		}
		if len(s.others) > 0 && s.abandoned(ctx, silent) {
			s.end(errChanged)
			return
		}
		if c.deadCount > 0 {
			s.seekReplays(ctx)
		}
		s.measure(ctx)
	}
}

// silence is since when a partition shows no sign of life.
type silence struct {
	beat  int64
	since time.Duration
}

// abandoned tells whether a partition that somebody else had is free, or its
// owner has been silent for the time of a lease.
func (s *session) abandoned(ctx context.Context, silent map[string]silence) bool {
	all, err := s.ledger.positions(ctx)
	if err != nil {
		return false
	}
	now := s.deps.Elapsed()
	for _, p := range all {
		if !slices.Contains(s.others, p.part) {
			continue
		}
		before, known := silent[p.part]
		switch {
		case p.owner == "":
			return true
		case !known || before.beat != p.beat:
			silent[p.part] = silence{p.beat, now}
		case now-before.since > s.deps.Lease:
			return true
		}
	}
	return false
}

// maxReplay is how many dead letters are tried again at a time.
const maxReplay = 100

// seekReplays hands dead letters to the work that are to be tried again, those
// of one partition at a time.
func (s *session) seekReplays(ctx context.Context) {
	if len(s.replays) > 0 {
		return
	}
	waiting, err := s.ledger.letters(ctx, s.lastReplay, maxReplay, `AND replay`)
	if err != nil || len(waiting) == 0 {
		s.lastReplay = 0
		return
	}
	mine := waiting[:0]
	for _, d := range waiting {
		s.lastReplay = d.ID
		s.mu.Lock()
		_, have := s.parts[d.Partition]
		s.mu.Unlock()
		if (have || !s.deps.Shared) && (len(mine) == 0 || mine[0].Partition == d.Partition) {
			mine = append(mine, d)
		}
	}
	if len(mine) == 0 {
		return
	}
	select {
	case s.replays <- mine:
	default:
	}
}

// measure asks how far behind the stream is.
func (s *session) measure(ctx context.Context) {
	lag := int64(-1)
	if n, err := s.reader.Lag(ctx); err == nil {
		lag = n
	}
	s.report.measured(s.deps.Elapsed(), lag)
	s.metrics.lag.Set(float64(lag), s.spec.Name)
	if w, ok := s.report.watermark(s.lateness); ok {
		s.metrics.watermark.Set(float64(w)/1e6, s.spec.Name)
	}
}
