package gateway

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/leat-ai/leat/store/catalog"
)

// Buckets are kept in the catalog every now and then and at the end, so that a
// restart is no way around a limit. A bucket that was left alone for a window
// is full, and need not be kept.

// savedLevel is how full a caller's buckets were.
type savedLevel struct {
	llm, caller      string
	requests, tokens float64
	at               time.Time
	meter            *meter
}

type levelKey struct{ llm, caller string }

// everybody is the caller under whose name the buckets of all are kept: no
// principal has it.
const everybody = "*"

// loadLevels reads the buckets that are not full again yet.
func (g *Gateway) loadLevels(ctx context.Context) error {
	since := g.deps.Clock.Now().Add(-10 * window)
	var all []savedLevel
	err := g.deps.DB.Read(ctx, func(t catalog.Tx) (err error) {
		all, err = catalog.Collect(ctx, t, func(r *sql.Rows) (l savedLevel, err error) {
			var at int64
			err = r.Scan(&l.llm, &l.caller, &l.requests, &l.tokens, &at)
			l.at = catalog.Time(at)
			return l, err
		}, `SELECT llm, caller, requests, tokens, at FROM llm_levels WHERE space = ? AND at > ?`, g.deps.Space, catalog.Micros(since))
		return err
	})
	g.saved = map[levelKey]savedLevel{}
	for _, l := range all {
		g.saved[levelKey{l.llm, l.caller}] = l
	}
	return err
}

// restored returns the meters of an LLM as they were before a restart.
func (g *Gateway) restored(name string) *meters {
	m := newMeters()
	for key, l := range g.saved {
		if key.llm != name {
			continue
		}
		if key.caller == everybody {
			m.all.restore(l)
		} else if len(m.by) < m.bound {
			m.of(key.caller).restore(l)
		}
		delete(g.saved, key)
	}
	return m
}

func (m *meter) restore(l savedLevel) {
	m.requests, m.tokens = bucket{l.requests, l.at}, bucket{l.tokens, l.at}
	m.used, m.saved = l.at, l.at
}

// levels lists the buckets that changed since they were written.
func (g *Gateway) levels(closing bool) []savedLevel {
	now := g.deps.Clock.Now()
	if !closing && now.Sub(g.levelsAt) < flushSlow {
		return nil
	}
	g.levelsAt = now
	g.mu.RLock()
	defer g.mu.RUnlock()
	var all []savedLevel
	for name, m := range g.models {
		l := m.spec.Limits
		if l.Requests == 0 && l.Tokens == 0 && (l.Total == nil || l.Total.Requests == 0 && l.Total.Tokens == 0) {
			continue
		}
		all = m.meters.all.level(all, name, everybody)
		m.meters.mu.Lock()
		for who, one := range m.meters.by {
			all = one.level(all, name, who)
		}
		m.meters.mu.Unlock()
	}
	return all
}

func (m *meter) level(all []savedLevel, name, who string) []savedLevel {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.used.After(m.saved) {
		return all
	}
	return append(all, savedLevel{name, who, m.requests.level, m.tokens.level, m.used, m})
}

// wrote notes that buckets are in the catalog.
func (g *Gateway) wrote(all []savedLevel) {
	for _, l := range all {
		l.meter.mu.Lock()
		l.meter.saved = l.at
		l.meter.mu.Unlock()
	}
}

func (b *books) writeLevels(ctx context.Context, t catalog.Tx, all []savedLevel) error {
	if len(all) == 0 {
		return nil
	}
	old := catalog.Micros(b.g.deps.Clock.Now().Add(-20 * window))
	if _, err := t.Exec(ctx, `DELETE FROM llm_levels WHERE space = ? AND at < ?`, b.g.deps.Space, old); err != nil {
		return err
	}
	for len(all) > 0 {
		n := min(len(all), 100)
		args := make([]any, 0, 6*n)
		for _, l := range all[:n] {
			args = append(args, b.g.deps.Space, l.llm, l.caller, l.requests, l.tokens, catalog.Micros(l.at))
		}
		all = all[n:]
		if _, err := t.Exec(ctx, `INSERT INTO llm_levels (space, llm, caller, requests, tokens, at) VALUES (?, ?, ?, ?, ?, ?)`+
			strings.Repeat(", (?, ?, ?, ?, ?, ?)", n-1)+` ON CONFLICT (space, llm, caller) DO UPDATE
			SET requests = excluded.requests, tokens = excluded.tokens, at = excluded.at`, args...); err != nil {
			return err
		}
	}
	return nil
}
