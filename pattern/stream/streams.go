package stream

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/catalog"
)

// Streams are those of a server. It is safe for many goroutines.
type Streams struct {
	deps    Deps
	metrics *metrics

	mu      sync.Mutex
	runners map[string]*runner
	closed  bool
}

// New returns a server's streams; Converge starts them.
func New(d Deps) *Streams {
	d = d.withDefaults()
	return &Streams{deps: d, metrics: newMetrics(d.Telemetry), runners: map[string]*runner{}}
}

// Converge runs the streams of the resources in force: those that are new or
// changed begin, those that are gone end. It returns once what ended has let
// its partitions go.
func (s *Streams) Converge(list []spec.Resource) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	wanted := map[string]*runner{}
	for _, r := range list {
		if stream, ok := r.Spec.(*spec.Stream); ok {
			wanted[r.Name] = newRunner(s.deps, s.metrics, *stream, r.Hash)
		}
	}
	for name, r := range s.runners {
		if w := wanted[name]; w == nil || w.hash != r.hash {
			r.stop()
			<-r.done
			delete(s.runners, name)
		}
	}
	for name, r := range wanted {
		if s.runners[name] != nil {
			continue
		}
		ctx, stop := context.WithCancel(context.Background())
		r.stop = stop
		s.runners[name] = r
		if s.deps.Idle {
			r.report.set(Stopped, "", nil)
			close(r.done)
			continue
		}
		go r.run(ctx)
	}
}

// Close ends every stream, after what is under way.
func (s *Streams) Close(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, r := range s.runners {
		r.stop()
	}
	for name, r := range s.runners {
		select {
		case <-r.done:
			delete(s.runners, name)
		case <-ctx.Done():
			return fault.New(fault.Timeout, "stream %q did not end in time", name)
		}
	}
	return nil
}

func (s *Streams) runner(name string) (*runner, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.runners[name]; r != nil {
		return r, nil
	}
	var names []string
	for n := range s.runners {
		names = append(names, n)
	}
	err := fault.New(fault.NotFound, "no stream is called %q", name)
	if near := fault.Nearest(name, names); near != "" {
		return nil, err.Hint("did you mean %q?", near)
	}
	return nil, err.Hint("is the project applied? `leat apply`; `leat stream status` lists the streams")
}

// Reads tells whether a stream reads an address, such as webhook://NAME.
func (s *Streams) Reads(address string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.runners {
		if r.spec.From == address {
			return true
		}
	}
	return false
}

// List returns the state of every stream, by name.
func (s *Streams) List(ctx context.Context) ([]Status, error) {
	s.mu.Lock()
	var all []*runner
	for _, r := range s.runners {
		all = append(all, r)
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b *runner) int { return strings.Compare(a.spec.Name, b.spec.Name) })
	list := make([]Status, 0, len(all))
	for _, r := range all {
		st, err := r.status(ctx)
		if err != nil {
			return nil, err
		}
		list = append(list, st)
	}
	return list, nil
}

// Status returns the state of one stream.
func (s *Streams) Status(ctx context.Context, name string) (Status, error) {
	r, err := s.runner(name)
	if err != nil {
		return Status{}, err
	}
	return r.status(ctx)
}

func (r *runner) status(ctx context.Context) (Status, error) {
	st := Status{Name: r.spec.Name, From: r.spec.From, To: r.spec.To, Score: r.spec.Score, Partitions: []PartitionStatus{}}
	if w, ok := r.report.watermark(r.spec.Lateness.Std().Microseconds()); ok {
		st.Watermark = micros(w)
	}
	r.report.mu.Lock()
	st.State, st.Since, st.Lag, st.Rate = r.report.state, r.report.since, r.report.lag, r.report.rate
	if why := r.report.why; why != nil {
		st.Why, st.Hint = why.Error(), fault.HintOf(why)
		if r.report.doing != "" {
			st.Why = r.report.doing + ": " + st.Why
		}
	}
	r.report.mu.Unlock()
	c, err := r.ledger.control(ctx)
	if err != nil {
		return st, err
	}
	st.DeadLetters, st.DeadBytes = c.deadCount, c.deadBytes
	all, err := r.ledger.positions(ctx)
	for _, p := range all {
		ps := PartitionStatus{Name: p.part, Owner: p.owner, Next: p.next, Updated: catalog.Time(p.updated), Counts: p.counts}
		if p.newest != never {
			ps.Newest = micros(p.newest)
		}
		st.add(p.counts)
		st.Partitions = append(st.Partitions, ps)
	}
	return st, err
}

// Pause holds a stream on every server that shares the catalog, until Resume.
func (s *Streams) Pause(ctx context.Context, name, by string) (Status, error) {
	return s.change(ctx, name, func(l *ledger) error { return l.pause(ctx, true, by) })
}

// Resume lets a paused stream go on.
func (s *Streams) Resume(ctx context.Context, name, by string) (Status, error) {
	return s.change(ctx, name, func(l *ledger) error { return l.pause(ctx, false, by) })
}

// Seek lets a stream go on elsewhere in its topic, and says what was cleared.
func (s *Streams) Seek(ctx context.Context, name string, to Place, by string) (Sought, error) {
	r, err := s.runner(name)
	if err != nil {
		return Sought{}, err
	}
	if scheme, _, _ := strings.Cut(r.spec.From, "://"); slices.Contains([]string{"amqp", "amqps", "mqtt", "mqtts"}, scheme) {
		return Sought{}, fault.New(fault.Unsupported, "stream %q reads a queue, which has no places to go to", name)
	}
	sought, err := r.ledger.seek(ctx, to, by)
	r.tell()
	return sought, err
}

func (s *Streams) change(ctx context.Context, name string, f func(*ledger) error) (Status, error) {
	r, err := s.runner(name)
	if err != nil {
		return Status{}, err
	}
	if err := f(r.ledger); err != nil {
		return Status{}, err
	}
	r.tell()
	return r.status(ctx)
}

// Dead lists dead letters after one, oldest first, 1,000 at most.
func (s *Streams) Dead(ctx context.Context, name string, after int64, limit int) ([]Letter, error) {
	r, err := s.runner(name)
	if err != nil {
		return nil, err
	}
	found, err := r.ledger.letters(ctx, after, min(max(limit, 1), 1000), "")
	for i := range found { // lists have no bodies
		found[i].Body = nil
	}
	return found, err
}

// Letter returns one dead letter with its body.
func (s *Streams) Letter(ctx context.Context, name string, number int64) (Letter, error) {
	r, err := s.runner(name)
	if err != nil {
		return Letter{}, err
	}
	return r.ledger.letter(ctx, number)
}

// Edit replaces the body of a dead letter.
func (s *Streams) Edit(ctx context.Context, name string, number int64, body []byte) error {
	r, err := s.runner(name)
	if err != nil {
		return err
	}
	return r.ledger.edit(ctx, number, body)
}

// Replay lets dead letters be tried again, all when there are no numbers, and
// returns how many.
func (s *Streams) Replay(ctx context.Context, name string, numbers []int64) (int64, error) {
	r, err := s.runner(name)
	if err != nil {
		return 0, err
	}
	return r.ledger.replay(ctx, numbers)
}

// Drop deletes dead letters, all when there are no numbers, and returns how
// many.
func (s *Streams) Drop(ctx context.Context, name string, numbers []int64) (int64, error) {
	r, err := s.runner(name)
	if err != nil {
		return 0, err
	}
	return r.ledger.drop(ctx, numbers)
}

// Decided tells whether a stream of this server has decided an event of a
// name with an endpoint, as far as it remembers, and which stream: what real
// time asks for an idempotency key.
func (s *Streams) Decided(endpoint, name string) (stream string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.runners {
		if r.spec.Score != endpoint {
			continue
		}
		if now := r.session.Load(); now != nil {
			now.seenMu.Lock()
			ok = now.seen.has(idOf(name))
			now.seenMu.Unlock()
			if ok {
				return r.spec.Name, true
			}
		}
	}
	return "", false
}
