package online

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature"
	"github.com/leat-ai/leat/flow/feature/window"
	"github.com/leat-ai/leat/spec"
)

// View is a feature view, compiled for the store. It is immutable and safe for
// many goroutines.
type View struct {
	spec     spec.FeatureView
	keys     []frame.Column
	rows     []frame.Column // what is written: keys, timestamp, and what the features read
	when     int            // position in rows of the time of the event, or -1
	features []frame.Column
	set      *feature.Set   // computes the features of a row; nil of windows
	plan     *window.Plan   // nil of rows
	layout   layout         // of a row in the store
	source   []frame.Column // of the table that rows come from
	demand   *demand        // of a view that is computed on demand; nil of those that are kept
	table    string
}

// Compile binds a view to the columns of its source; of a view with SQL, to
// those of its result. A view without an entity, or on demand, has nothing to
// keep and is Unsupported.
func Compile(v spec.FeatureView, source []frame.Column) (*View, error) {
	c, err := compile(v, source)
	return c, fault.Wrap(err, fault.KindOf(err), "feature view %q", v.Name)
}

func compile(v spec.FeatureView, source []frame.Column) (*View, error) {
	if len(v.Entity) == 0 || v.OnDemand() {
		return nil, fault.New(fault.Unsupported, "its features are computed from each row, and not kept by entity").
			Hint("only a view with an entity and a source is read online")
	}
	c := &View{spec: v, when: -1, source: source}
	if v.Windowed() {
		plan, err := window.Compile(v, source)
		if err != nil {
			return nil, err
		}
		c.plan, c.keys, c.rows, c.when, c.features = plan, plan.Keys(), plan.Reads(), plan.Time(), plan.Outputs()
		return c, c.name(plan.Hash())
	}
	if err := c.columns(source); err != nil {
		return nil, err
	}
	if err := c.compute(source); err != nil {
		return nil, err
	}
	c.layout = newLayout(c.features)
	return c, c.name(feature.Hash(v))
}

// columns finds the entity and the time.
func (c *View) columns(source []frame.Column) error {
	for _, name := range c.spec.Entity {
		col, err := find(source, name)
		if err != nil {
			return err
		}
		if col.Type == frame.Double {
			return fault.New(fault.Invalid, "the entity %q is a double, which does not identify anything for sure", name).
				Hint("cast it to int or string")
		}
		c.keys = append(c.keys, col)
	}
	c.rows = slices.Clone(c.keys)
	if c.spec.Timestamp == "" {
		return nil
	}
	col, err := find(source, c.spec.Timestamp)
	if err != nil {
		return err
	}
	if col.Type != frame.Timestamp && col.Type != frame.Date {
		return fault.New(fault.Invalid, "the timestamp %q is of type %s", col.Name, col.Type).Hint("cast it to timestamp, or to date")
	}
	c.when = len(c.rows)
	c.rows = append(c.rows, col)
	return nil
}

// compute compiles what the features of a row are. The result of SQL has them
// already.
func (c *View) compute(source []frame.Column) error {
	v := c.spec
	if v.SQL != "" {
		v = spec.FeatureView{Name: v.Name, Source: v.Name, Entity: v.Entity, Timestamp: v.Timestamp}
		for _, col := range source {
			if !slices.Contains(c.rows, col) {
				v.Columns = append(v.Columns, col.Name)
			}
		}
		if len(v.Columns) == 0 {
			return fault.New(fault.Invalid, "its SQL gives no column besides the entity")
		}
	}
	set, err := feature.Compile([]spec.FeatureView{v}, feature.Env{Sources: map[string][]frame.Column{v.Source: source}, Base: v.Source})
	if err != nil {
		return err
	}
	c.set, c.features = set, set.Outputs()
	for _, col := range set.Inputs() {
		if !slices.Contains(c.rows, col) {
			c.rows = append(c.rows, col)
		}
	}
	return nil
}

// name names the table after all that decides what its bytes mean.
func (c *View) name(hash string) error {
	text, err := json.Marshal(struct {
		Hash           string
		Keys, Features []frame.Column
	}{hash, c.keys, c.features})
	if err != nil {
		return fault.Wrap(err, fault.Internal, "a view without a text")
	}
	sum := sha256.Sum256(text)
	c.table = c.spec.Name + "@" + hex.EncodeToString(sum[:8])
	return nil
}

func find(columns []frame.Column, name string) (frame.Column, error) {
	names := make([]string, len(columns))
	for i, col := range columns {
		if col.Name == name {
			return col, nil
		}
		names[i] = col.Name
	}
	err := fault.New(fault.Invalid, "its source has no column %q", name)
	if near := fault.Nearest(name, names); near != "" {
		return frame.Column{}, err.Hint("did you mean %s?", near)
	}
	return frame.Column{}, err
}

// Spec is the definition.
func (c *View) Spec() spec.FeatureView { return c.spec }

// Name is that of the definition.
func (c *View) Name() string { return c.spec.Name }

// Keys lists the columns of the entity.
func (c *View) Keys() []frame.Column { return c.keys }

// Features lists what Read gives.
func (c *View) Features() []frame.Column { return c.features }

// Rows lists the columns that Push takes: the entity, the time of the event
// where the view has one, and what the features read.
func (c *View) Rows() []frame.Column { return c.rows }

// Source lists the columns of what the rows come from, Rows among them.
func (c *View) Source() []frame.Column { return c.source }

// Plan is the windows of the view, nil where it has none.
func (c *View) Plan() *window.Plan { return c.plan }

// Feature is the position of a feature by its name.
func (c *View) Feature(name string) (int, error) {
	at := slices.IndexFunc(c.features, func(col frame.Column) bool { return col.Name == name })
	if at >= 0 {
		return at, nil
	}
	names := make([]string, len(c.features))
	for i, col := range c.features {
		names[i] = col.Name
	}
	err := fault.New(fault.NotFound, "feature view %q has no feature %q", c.spec.Name, name)
	if near := fault.Nearest(name, names); near != "" {
		return 0, err.Hint("did you mean %s?", near)
	}
	return 0, err
}

// expires is when values of an event may be forgotten: rows once they have
// been stale for as long as they were good, and a day; windows once nothing of
// them is left. The zero time means never.
func (c *View) expires(event, now int64) time.Time {
	ttl := c.spec.TTL.Std()
	if c.plan != nil {
		horizon, ends := c.plan.Horizon()
		if !ends {
			return time.Time{}
		}
		return time.UnixMicro(max(event, now)).Add(max(horizon+c.plan.Lateness(), 2*ttl) + day)
	}
	if ttl == 0 || c.when < 0 {
		return time.Time{}
	}
	return time.UnixMicro(max(event, now)).Add(2*ttl + day)
}

const day = 24 * time.Hour
