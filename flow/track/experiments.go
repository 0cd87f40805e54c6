package track

import (
	"cmp"
	"context"
	"database/sql"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/catalog"
)

// Experiment groups runs and logged models.
type Experiment struct {
	ID        int64  `json:"-"`
	Name      string `json:"-"` // no two have the same, deleted ones included
	Artifacts string `json:"artifacts"`
	Deleted   bool   `json:"deleted,omitempty"`
	Created   int64  `json:"created"` // milliseconds since 1970
	Updated   int64  `json:"updated"`
	Tags      Pairs  `json:"tags,omitempty"`
}

// DefaultExperiment is the id of the experiment that is always there.
const DefaultExperiment int64 = 0

// ParseExperiment reads the id of an experiment; "" is the default one's.
func ParseExperiment(id string) (int64, error) {
	if id == "" {
		return DefaultExperiment, nil
	}
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return 0, fault.New(fault.Invalid, "%.100q cannot be the id of an experiment: it is a number", id)
	}
	return n, nil
}

// Experiments is the part of Track that keeps experiments.
type Experiments struct {
	*shared
	index *index[Experiment]
}

// allExperiments is the one group of the index of experiments.
const allExperiments = 0

func newExperiments(s *shared, memory int64) *Experiments {
	return &Experiments{shared: s, index: newIndex(memory, readExperiments,
		experimentID,
		func(a, b *Experiment) int { return cmp.Or(cmp.Compare(b.Created, a.Created), cmp.Compare(a.ID, b.ID)) })}
}

func (e *Experiments) makeDefault(ctx context.Context) error {
	return e.db.Write(ctx, func(tx catalog.Tx) error {
		if _, err := experiment(ctx, tx, DefaultExperiment); !fault.Is(err, fault.NotFound) {
			return err
		}
		return e.insert(ctx, tx, &Experiment{ID: DefaultExperiment, Name: "Default", Artifacts: scheme + "0"})
	})
}

// NewExperiment is an experiment to make.
type NewExperiment struct {
	Name string
	// Artifacts is the address beneath which its files lie; "" for a folder
	// of Artifacts. A client writes to another address by itself.
	Artifacts string
	Tags      []Pair
}

// Create makes an experiment. A name that is taken, be it by a deleted one,
// is a Conflict.
func (e *Experiments) Create(ctx context.Context, n NewExperiment) (Experiment, error) {
	tags, err := checkExperiment(n)
	if err != nil {
		return Experiment{}, err
	}
	var made Experiment
	err = e.db.Write(ctx, func(tx catalog.Tx) error {
		id, err := catalog.Next(ctx, tx, "experiments")
		if err != nil {
			return err
		}
		made = Experiment{ID: id, Name: n.Name, Artifacts: cmp.Or(n.Artifacts, scheme+strconv.FormatInt(id, 10)), Tags: Pairs(nil).withAll(tags)}
		return e.insert(ctx, tx, &made)
	})
	if fault.Is(err, fault.Conflict) {
		return Experiment{}, fault.New(fault.Conflict, "an experiment named %q is there already", n.Name).
			Hint("it may be deleted: restore it, or choose another name")
	}
	return made, err
}

func checkExperiment(n NewExperiment) ([]Pair, error) {
	var l fault.List
	l.Add(checkExperimentName(n.Name))
	l.Add(checkLocation(n.Artifacts))
	tags, err := checkPairs("tag", n.Tags, maxExperimentTag, false)
	l.Add(err)
	return tags, l.Err()
}

func checkExperimentName(name string) error {
	if name == "" {
		return fault.New(fault.Invalid, "an experiment needs a name")
	}
	return checkLength("name of the experiment", name, maxExperimentName)
}

func checkLocation(address string) error {
	if strings.HasPrefix(address, "runs:") {
		return fault.New(fault.Invalid, "artifacts of an experiment cannot lie in those of a run")
	}
	if strings.ContainsAny(address, "#?") && strings.HasPrefix(address, "mlflow-artifacts:") {
		return fault.New(fault.Invalid, "%.100q has a fragment or a query", address)
	}
	for part := range strings.SplitSeq(address, "/") {
		if part == ".." {
			return fault.New(fault.Invalid, "%.100q leads upwards", address)
		}
	}
	return checkLength("location of the artifacts", address, maxLocation)
}

func (e *Experiments) insert(ctx context.Context, tx catalog.Tx, x *Experiment) error {
	x.Created = e.now()
	x.Updated = x.Created
	body, err := encode(x)
	if err != nil {
		return err
	}
	seq, err := catalog.Next(ctx, tx, sequence("experiments", allExperiments))
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO experiments (id, name, seq, body) VALUES (?, ?, ?, ?)`, x.ID, x.Name, seq, body)
	return err
}

// Get returns an experiment, deleted or not.
func (e *Experiments) Get(ctx context.Context, id int64) (x Experiment, err error) {
	err = e.db.Read(ctx, func(tx catalog.Tx) error {
		x, err = experiment(ctx, tx, id)
		return err
	})
	return x, err
}

// ByName returns the experiment of a name, deleted or not.
func (e *Experiments) ByName(ctx context.Context, name string) (x Experiment, err error) {
	err = e.db.Read(ctx, func(tx catalog.Tx) error {
		x, err = oneExperiment(ctx, tx, `name = ?`, name)
		return gone(err, "there is no experiment named %q", name)
	})
	return x, err
}

// Rename gives an experiment another name.
func (e *Experiments) Rename(ctx context.Context, id int64, name string) error {
	if err := checkExperimentName(name); err != nil {
		return err
	}
	err := e.change(ctx, id, func(x *Experiment) error { x.Name = name; return nil })
	if fault.Is(err, fault.Conflict) {
		return fault.New(fault.Conflict, "an experiment named %q is there already", name)
	}
	return err
}

// SetTag sets a tag of an experiment.
func (e *Experiments) SetTag(ctx context.Context, id int64, key, value string) error {
	if err := checkKey("tag", key); err != nil {
		return err
	}
	if err := checkLength("value of the tag", value, maxExperimentTag); err != nil {
		return err
	}
	return e.change(ctx, id, func(x *Experiment) error { x.Tags = x.Tags.with(key, value); return nil })
}

// DeleteTag removes a tag; one that is not there is a NotFound fault.
func (e *Experiments) DeleteTag(ctx context.Context, id int64, key string) error {
	return e.change(ctx, id, func(x *Experiment) (err error) {
		var ok bool
		if x.Tags, ok = x.Tags.without(key); !ok {
			return fault.New(fault.NotFound, "experiment %d has no tag %q", id, key)
		}
		return nil
	})
}

// Delete marks an experiment, and with it everything in it.
func (e *Experiments) Delete(ctx context.Context, id int64) error { return e.mark(ctx, id, true) }

// Restore takes the mark of Delete away. What had a mark of its own keeps it.
func (e *Experiments) Restore(ctx context.Context, id int64) error { return e.mark(ctx, id, false) }

func (e *Experiments) mark(ctx context.Context, id int64, deleted bool) error {
	return e.update(ctx, id, func(x *Experiment) error {
		if x.Deleted == deleted {
			state := map[bool]string{true: "active", false: "deleted"}[deleted]
			return fault.New(fault.NotFound, "there is no %s experiment %d", state, id)
		}
		x.Deleted = deleted
		return nil
	})
}

// change updates an experiment that is not deleted.
func (e *Experiments) change(ctx context.Context, id int64, f func(*Experiment) error) error {
	return e.update(ctx, id, func(x *Experiment) error {
		if err := x.active(); err != nil {
			return err
		}
		return f(x)
	})
}

func (x Experiment) active() error {
	if x.Deleted {
		return fault.New(fault.Invalid, "experiment %d is deleted", x.ID).Hint("restore it first")
	}
	return nil
}

func (e *Experiments) update(ctx context.Context, id int64, f func(*Experiment) error) error {
	return e.db.Write(ctx, func(tx catalog.Tx) error {
		x, err := experiment(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := f(&x); err != nil {
			return err
		}
		if err := checkKept(nil, x.Tags, nil); err != nil {
			return err
		}
		x.Updated = max(x.Updated+1, e.now())
		body, err := encode(x)
		if err != nil {
			return err
		}
		seq, err := catalog.Next(ctx, tx, sequence("experiments", allExperiments))
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE experiments SET name = ?, seq = ?, body = ? WHERE id = ?`, x.Name, seq, body, id)
		return err
	})
}

func experiment(ctx context.Context, tx catalog.Tx, id int64) (Experiment, error) {
	x, err := oneExperiment(ctx, tx, `id = ?`, id)
	return x, gone(err, "there is no experiment %d", id)
}

func oneExperiment(ctx context.Context, tx catalog.Tx, where string, arg any) (x Experiment, err error) {
	var body string
	if err := tx.Row(ctx, `SELECT id, name, body FROM experiments WHERE `+where, []any{arg}, &x.ID, &x.Name, &body); err != nil {
		return Experiment{}, err
	}
	return x, decode(body, &x)
}

// readExperiments is how the index learns of changes.
func readExperiments(ctx context.Context, tx catalog.Tx, _, after int64, limit int) ([]changed[Experiment], error) {
	return catalog.Collect(ctx, tx, func(rows *sql.Rows) (c changed[Experiment], err error) {
		x := &Experiment{}
		var body string
		if err := rows.Scan(&x.ID, &x.Name, &c.seq, &body); err != nil {
			return c, err
		}
		c.row, c.size = x, int64(2*len(body)+200)
		return c, decode(body, x)
	}, `SELECT id, name, seq, body FROM experiments WHERE seq > ? ORDER BY seq LIMIT ?`, after, limit)
}

func experimentID(x *Experiment) string { return strconv.FormatInt(x.ID, 10) }
