package window

import (
	"github.com/apache/arrow-go/v18/arrow"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// State is what is known of the entities of a view, or of a partition of
// them. It is for one goroutine.
type State struct {
	plan    *Plan
	bounds  Bounds
	engine  *engine
	keys    map[string]*key
	list    []*key
	dirty   []*key
	removed []string
	feed    feed
	rows    *Rows
	name    []byte
	size    Size
	least   int64 // the earliest time that may be asked for, or that an event may have
	swept   int   // keys of the list that were looked at since the time passed
	passed  int64
	collect int // strings after which those not in use are looked for
}

// NewState makes a State without events.
func NewState(p *Plan, b Bounds) *State {
	b = b.filled()
	return &State{plan: p, bounds: b, engine: newEngine(p, b.Events), keys: map[string]*key{}, rows: p.NewRows(0),
		least: never, passed: never, collect: leastStrings}
}

// Plan is what the state was made for.
func (s *State) Plan() *Plan { return s.plan }

// Size is what the state holds.
func (s *State) Size() Size {
	size := s.size
	size.Keys, size.Bytes = len(s.list), s.size.Bytes+s.engine.dict.bytes
	return size
}

// Least is the earliest time that may be asked for: the watermark less the
// lateness of the view.
func (s *State) Least() int64 { return s.least }

// Add adds a batch of events, which has the columns of Reads, in any order and
// among others; ids are those of the events, or nil. Events that came too late
// and those whose id is there already are left out. A column that is missing
// is an Invalid fault; one that would take more than the bounds allow is
// TooLarge, and the events before it are added.
func (s *State) Add(batch frame.Batch, ids []string) (Added, error) {
	return s.run(batch, ids, nil)
}

// Observe is Add that also answers, for each event, the values of its entity
// as of its time and before it is added: one array for each output, which the
// caller releases. Events that came too late have NULLs.
func (s *State) Observe(batch frame.Batch, ids []string) ([]arrow.Array, Added, error) {
	s.rows.reserve(int(batch.NumRows()))
	added, err := s.run(batch, ids, s.rows)
	if err != nil {
		s.rows.drop()
		return nil, added, err
	}
	values, err := s.rows.Take()
	return values, added, err
}

func (s *State) run(batch frame.Batch, ids []string, rows *Rows) (added Added, err error) {
	if ids != nil && len(ids) != int(batch.NumRows()) {
		return added, fault.New(fault.Invalid, "there are %d ids of %d events", len(ids), batch.NumRows())
	}
	if err := s.feed.read(s.plan, batch); err != nil {
		return added, err
	}
	defer s.feed.release()
	for i := range s.feed.rows {
		if err := s.one(i, ids, rows, &added); err != nil {
			return added, err
		}
	}
	return added, nil
}

// one answers and adds one event.
func (s *State) one(i int, ids []string, rows *Rows, added *Added) (err error) {
	var ok bool
	s.name, ok = frame.AppendKey(s.name[:0], s.feed.keys, i)
	if !ok || s.feed.none[i] {
		added.Nobody++
		if rows != nil {
			rows.None()
		}
		return nil
	}
	t := s.feed.times[i]
	k := s.keys[string(s.name)]
	if t < s.least || k != nil && t < k.least {
		added.Late = append(added.Late, i)
		if rows != nil {
			rows.Null()
		}
		return nil
	}
	if k == nil {
		if k, err = s.key(); err != nil {
			return err
		}
	}
	if rows != nil {
		s.engine.read(k, t, rows)
	}
	before := k.ring.n
	s.engine.settle(k, s.least)
	if k.ring.n >= s.bounds.Events {
		return fault.New(fault.TooLarge, "feature view %q keeps more than %d single events of one entity", s.plan.view.Name, s.bounds.Events).
			Hint("give its longest windows a slide, so that what is older than the lateness is summed up")
	}
	if s.engine.add(k, s.feed.event(s.engine, i, idOf(ids, i))) {
		added.Events++
		s.touch(k)
	} else {
		added.Duplicates++
	}
	s.size.Events += k.ring.n - before
	return s.account(k)
}

// key makes the key of the name at hand.
func (s *State) key() (*key, error) {
	if len(s.list) >= s.bounds.Keys {
		return nil, fault.New(fault.TooLarge, "feature view %q has more than %d entities in one partition", s.plan.view.Name, s.bounds.Keys).
			Hint("spread the stream over more partitions, or shorten the windows so that entities are forgotten")
	}
	k := s.engine.newKey()
	k.name = append([]byte(nil), s.name...)
	k.place = len(s.list)
	s.list = append(s.list, k)
	s.keys[string(k.name)] = k
	s.engine.grown += int64(2 * len(k.name))
	return k, nil
}

// touch notes that a key is not what was last given out.
func (s *State) touch(k *key) {
	if k.dirty == 0 {
		s.dirty = append(s.dirty, k)
		k.dirty = len(s.dirty)
	}
}

// account counts the bytes that a key has taken, and holds them against the
// bound.
func (s *State) account(k *key) error {
	s.grow(k)
	if used := len(s.engine.dict.texts) - len(s.engine.dict.free); used > s.collect {
		s.collectStrings()
	}
	if s.size.Bytes+s.engine.dict.bytes > s.bounds.Bytes {
		s.collectStrings()
	}
	if s.size.Bytes+s.engine.dict.bytes > s.bounds.Bytes {
		return fault.New(fault.TooLarge, "the windows of feature view %q take more than %d MiB in one partition", s.plan.view.Name, s.bounds.Bytes>>20).
			Hint("give its longest windows a slide, spread the stream over more partitions, or allow more memory")
	}
	return nil
}

// grow counts the bytes that a key has taken since somebody looked.
func (s *State) grow(k *key) {
	k.bytes += s.engine.grown
	s.size.Bytes += s.engine.grown
	s.engine.grown = 0
}

// leastStrings is how many strings there are before any are forgotten.
const leastStrings = 1 << 12

// collectStrings forgets the strings that no key refers to any more.
func (s *State) collectStrings() {
	e := s.engine
	used := make([]bool, len(e.dict.texts))
	for _, k := range s.list {
		e.mark(k, used)
	}
	e.dict.keep(used)
	s.collect = max(leastStrings, 2*(len(e.dict.texts)-len(e.dict.free)))
}

// Values answers the values of entities as of times, in microseconds since
// 1970: one array for each output, which the caller releases. keys are the
// columns of Keys. An entity without events has counts of 0 and NULLs. A time
// before the watermark less the lateness is an Invalid fault: what it would
// need may be forgotten.
func (s *State) Values(keys []arrow.Array, at []int64) ([]arrow.Array, error) {
	if err := s.plan.checkKeys(keys, len(at)); err != nil {
		return nil, err
	}
	s.rows.reserve(len(at))
	for i, t := range at {
		var ok bool
		s.name, ok = frame.AppendKey(s.name[:0], keys, i)
		k := s.keys[string(s.name)]
		least := s.least
		if k != nil {
			least = max(least, k.least)
		}
		if t < least {
			s.rows.drop()
			return nil, tooEarly(s.plan, t, least)
		}
		if !ok || k == nil {
			s.rows.None()
			continue
		}
		s.engine.read(k, t, s.rows)
		s.grow(k)
	}
	return s.rows.Take()
}

func (p *Plan) checkKeys(keys []arrow.Array, rows int) error {
	if len(keys) != len(p.keys) {
		return fault.New(fault.Invalid, "feature view %q has %d key columns, not %d", p.view.Name, len(p.keys), len(keys))
	}
	for i, k := range keys {
		if t, err := frame.TypeOf(k.DataType()); err != nil || t != p.keys[i].Type || k.Len() < rows {
			return fault.New(fault.Invalid, "the key %q of feature view %q is %d values of type %s, not %d of %s",
				p.keys[i].Name, p.view.Name, k.Len(), k.DataType(), rows, p.keys[i].Type)
		}
	}
	return nil
}

// Advance says that the watermark has come to a time, in microseconds since
// 1970, and forgets what no read at or after it, less the lateness, can need.
// A watermark does not go back.
func (s *State) Advance(watermark int64) {
	least := less(watermark, s.plan.lateness)
	if least <= s.least {
		return
	}
	s.least = least
	if s.passed == never {
		s.passed = least
		return
	}
	// Every key is looked at once while the time goes on by an eighth of what
	// is kept; those that events come for are looked at then, too.
	period := max(s.plan.keep/8, leastPeriod)
	due := len(s.list)
	if gone := least - s.passed; gone >= 0 && gone < period {
		due = int(float64(len(s.list)) * float64(gone) / float64(period))
	}
	for ; s.swept < due && s.swept < len(s.list); s.swept++ {
		if s.sweep(s.list[s.swept]) {
			s.swept-- // another one is in its place
			due--
		}
	}
	if s.swept >= len(s.list) {
		s.swept, s.passed = 0, least
	}
}

// leastPeriod is the least time between two looks at a key, in microseconds.
const leastPeriod = 1_000_000

// sweep forgets what is not needed of a key, and tells whether that was all.
func (s *State) sweep(k *key) bool {
	before := k.ring.n
	s.engine.settle(k, s.least)
	s.size.Events += k.ring.n - before
	s.grow(k)
	if !s.engine.gone(k, s.least) {
		return false
	}
	s.remove(k)
	return true
}

func (s *State) remove(k *key) {
	last := s.list[len(s.list)-1]
	s.list[k.place], last.place = last, k.place
	s.list[len(s.list)-1] = nil
	s.list = s.list[:len(s.list)-1]
	delete(s.keys, string(k.name))
	if k.given {
		s.removed = append(s.removed, string(k.name))
	}
	if k.dirty > 0 {
		end := s.dirty[len(s.dirty)-1]
		s.dirty[k.dirty-1], end.dirty = end, k.dirty
		s.dirty[len(s.dirty)-1] = nil
		s.dirty = s.dirty[:len(s.dirty)-1]
		k.dirty = 0
	}
	s.size.Bytes -= k.bytes
	s.size.Events -= k.ring.n
}

// Dirty gives the keys that changed since it was last called, each with its
// bytes: nil for those that were given before, by Dirty or Each, or loaded, and
// of which nothing is known any more.
func (s *State) Dirty() []KeyState {
	out := make([]KeyState, 0, len(s.dirty)+len(s.removed))
	for _, name := range s.removed {
		if _, back := s.keys[name]; !back {
			out = append(out, KeyState{Key: []byte(name)})
		}
	}
	for _, k := range s.dirty {
		k.dirty = 0
		out = append(out, s.snapshot(k))
	}
	clear(s.dirty)
	s.dirty, s.removed = s.dirty[:0], nil
	return out
}

// Each calls f with every key, until it fails.
func (s *State) Each(f func(KeyState) error) error {
	for _, k := range s.list {
		if err := f(s.snapshot(k)); err != nil {
			return err
		}
	}
	return nil
}

func (s *State) snapshot(k *key) KeyState {
	before := k.ring.n
	s.engine.settle(k, s.least)
	s.size.Events += k.ring.n - before
	k.given = true
	defer s.grow(k)
	return KeyState{Key: k.name, State: s.engine.encode(nil, k), At: k.newest}
}

// Load puts back a key that Dirty or Each gave, in place of what is known of
// it. What the other state had forgotten of it stays forgotten: earlier events
// are late, and earlier times cannot be asked for. Bytes of another view, or
// broken ones, are a Corrupt fault, and the key is as before.
func (s *State) Load(from KeyState) error {
	s.name = append(s.name[:0], from.Key...)
	old := s.keys[string(s.name)]
	if from.State == nil {
		if old != nil {
			old.given = false // whoever says so knows
			s.remove(old)
		}
		return nil
	}
	k := s.engine.newKey()
	if err := s.engine.decode(from.State, k); err != nil {
		s.engine.grown = 0
		return err
	}
	if old != nil {
		old.given = false // it is not gone
		s.remove(old)
	}
	grown := s.engine.grown
	s.engine.grown = 0
	fresh, err := s.key()
	if err != nil {
		return err
	}
	k.name, k.place, k.given = fresh.name, fresh.place, true
	s.list[k.place], s.keys[string(k.name)] = k, k
	s.engine.grown += grown - s.engine.grown
	s.size.Events += k.ring.n
	return s.account(k)
}

// Forget removes an entity and all that is known of it.
func (s *State) Forget(name []byte) {
	if k := s.keys[string(name)]; k != nil {
		s.remove(k)
	}
}
