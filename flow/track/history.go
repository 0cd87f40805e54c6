package track

import (
	"context"
	"database/sql"
	"slices"
	"strconv"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/catalog"
)

// History returns the values of a metric of a run, by time, step and value,
// and the token of the page after.
func (r *Runs) History(ctx context.Context, id, key string, p Page) (values []Metric, next string, err error) {
	var after Metric
	first := p.After == ""
	if !first {
		if after, err = parseHistoryToken(p.After); err != nil {
			return nil, "", err
		}
	}
	err = r.db.Read(ctx, func(tx catalog.Tx) error {
		run, err := readRun(ctx, tx, id)
		if err != nil {
			return err
		}
		where, args := "", []any{run.number, key}
		if !first {
			b := bits(after.Value)
			where = ` AND (at > ? OR at = ? AND (step > ? OR step = ? AND value > ?))`
			args = append(args, after.At, after.At, after.Step, after.Step, b)
		}
		values, err = collectMetrics(ctx, tx, id, `SELECT key, at, step, value FROM tracked_metrics WHERE run = ? AND key = ?`+where+
			` ORDER BY at, step, value LIMIT ?`, append(args, p.Size+1)...)
		return err
	})
	if len(values) > p.Size {
		values = values[:p.Size]
		next = historyToken(values[p.Size-1])
	}
	return values, next, err
}

func collectMetrics(ctx context.Context, tx catalog.Tx, run, statement string, args ...any) ([]Metric, error) {
	return catalog.Collect(ctx, tx, func(rows *sql.Rows) (Metric, error) {
		m := Metric{Run: run}
		var b int64
		err := rows.Scan(&m.Key, &m.At, &m.Step, &b)
		m.Value = float(b)
		return m, err
	}, statement, args...)
}

// Steps bounds steps of a metric, both ends included.
type Steps struct{ From, To int64 }

// Sample returns at most most values of a metric of a run, by step, spread
// evenly over all of them (or those within some steps), the first and the
// last among them.
func (r *Runs) Sample(ctx context.Context, id, key string, within *Steps, most int) (values []Metric, err error) {
	err = r.db.Read(ctx, func(tx catalog.Tx) error {
		run, err := readRun(ctx, tx, id)
		if err != nil {
			return err
		}
		where, args := "", []any{run.number, key}
		if within != nil {
			where, args = ` AND step >= ? AND step <= ?`, append(args, within.From, within.To)
		}
		var total int64
		if err := tx.Row(ctx, `SELECT COUNT(*) FROM tracked_metrics WHERE run = ? AND key = ?`+where, args, &total); err != nil {
			return err
		}
		// Rows are picked where they are read: a metric may have millions.
		rows, err := tx.Query(ctx, `SELECT at, step, value FROM tracked_metrics WHERE run = ? AND key = ?`+where+` ORDER BY step, at, value`, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		values, err = pick(rows, id, key, total, int64(most))
		return err
	})
	return values, err
}

// pick keeps evenly spread rows of total.
func pick(rows *sql.Rows, run, key string, total, most int64) (values []Metric, err error) {
	for i := int64(0); rows.Next(); i++ {
		if !kept(i, total, most) {
			continue
		}
		m := Metric{Run: run, Key: key}
		var b int64
		if err := rows.Scan(&m.At, &m.Step, &b); err != nil {
			return nil, fault.Wrap(err, fault.Corrupt, "a value of metric %s", key)
		}
		m.Value = float(b)
		values = append(values, m)
	}
	return values, fault.Wrap(rows.Err(), fault.Unavailable, "the values of metric %s", key)
}

// kept tells whether row i of total is among most that are spread evenly: the
// first of each share, and the last row.
func kept(i, total, most int64) bool {
	if total <= most {
		return true
	}
	if most == 1 {
		return i == total-1
	}
	share := func(i int64) int64 { return i * (most - 1) / (total - 1) }
	return i == 0 || share(i) != share(i-1)
}

func historyToken(m Metric) string {
	return sealToken(strconv.FormatInt(m.At, 10), strconv.FormatInt(m.Step, 10), strconv.FormatInt(bits(m.Value), 10))
}

func parseHistoryToken(token string) (Metric, error) {
	parts, err := openToken(token)
	if err != nil || len(parts) != 3 {
		return Metric{}, badToken()
	}
	var n [3]int64
	for i, p := range parts {
		if n[i], err = strconv.ParseInt(p, 10, 64); err != nil {
			return Metric{}, badToken()
		}
	}
	return Metric{At: n[0], Step: n[1], Value: float(n[2])}, nil
}

// DatasetUse says that runs of an experiment read a data set in a context,
// such as training.
type DatasetUse struct {
	Experiment            int64
	Name, Digest, Context string
}

// contextTag is the tag of a data set's use that names its context.
const contextTag = "mlflow.data.context"

func (i Input) context() (string, bool) {
	at := slices.IndexFunc(i.Tags, func(t Pair) bool { return t.Key == contextTag })
	if at < 0 {
		return "", false
	}
	return i.Tags[at].Value, true
}

// Datasets returns at most most different uses of data sets in experiments.
func (r *Runs) Datasets(ctx context.Context, experiments []int64, most int) (uses []DatasetUse, err error) {
	err = r.db.Read(ctx, func(tx catalog.Tx) error {
		seen := map[DatasetUse]bool{}
		for _, x := range experiments {
			err := r.index.each(ctx, tx, x, func(run *Run, _ bool) bool {
				for _, in := range run.Inputs {
					context, _ := in.context()
					if use := (DatasetUse{x, in.Name, in.Digest, context}); !seen[use] {
						seen[use] = true
						uses = append(uses, use)
					}
				}
				return len(uses) < most
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return uses[:min(len(uses), most)], err
}
