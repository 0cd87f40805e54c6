// Package online is the online half of feature views: their values by entity,
// in a store (store/online) that answers while somebody waits.
//
// It stands beside flow/feature/past, which answers of the past from the lake.
// Compile makes a View; what it keeps by entity is
//
//   - of a view over windows the state of the entity's windows
//     (flow/feature/window), from which values are read as of any time;
//   - of any other view the features of its newest row, computed when the row
//     is written.
//
// Features writes and reads: Push takes rows as they happen, Materialise what
// the lake has, Read gives values with a status for every entity, and
// Freshness says how old they are. Values of a definition are kept apart from
// those of another of the same name, so a changed view is empty until it is
// materialised.
//
// Promises: what is read of a row is what the expression language gives of it
// everywhere, and what is read of windows is what the window engine gives of
// the same events, bit for bit. Writers that race, repeat themselves or come
// late lose nothing: rows are ordered by their time, states of windows are
// written where nobody wrote meanwhile, or read again. A store that does not
// answer is a fault, never a missing value.
package online

import (
	"context"
	"time"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/telemetry"
	"github.com/leat-ai/leat/store/online"
)

// Config says what Features stand on. Store is needed.
type Config struct {
	Store online.Store
	// Space keeps environments that share a store apart.
	Space string
	// Timeout bounds one call of the store by a Read: 1 s when 0.
	Timeout time.Duration
	Clock   clock.Clock          // that of the machine when nil
	Tel     *telemetry.Telemetry // may be nil
}

// Features is the views of an environment, online. It is safe for many
// goroutines.
type Features struct {
	config  Config
	metrics *metrics
}

// New returns the features of a store.
func New(c Config) *Features {
	if c.Timeout == 0 {
		c.Timeout = time.Second
	}
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.Space == "" {
		c.Space = "default"
	}
	return &Features{config: c, metrics: newMetrics(c.Tel)}
}

// table is where the values of a view are.
func (f *Features) table(v *View) string { return f.config.Space + "/" + v.table }

// Drop forgets what is online of a view.
func (f *Features) Drop(ctx context.Context, v *View) error {
	return f.config.Store.Drop(ctx, f.table(v))
}
