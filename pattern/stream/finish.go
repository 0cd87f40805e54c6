package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/store/bus"
)

// finishAll publishes, commits and acknowledges loads in their order.
func (s *session) finishAll(ctx context.Context) error {
	for l := range s.loads {
		if err := s.finish(ctx, l); err != nil {
			return ignoreEnd(ctx, err)
		}
	}
	return nil
}

func releaseLanes(lanes []*lane) {
	for _, b := range lanes {
		for _, out := range b.out {
			if out.Rows != nil {
				out.Rows.Release()
			}
		}
		if b.fed.rows != nil {
			b.fed.rows.Release()
		}
	}
}

// feed writes what the windows took to where real time reads it. It is beside
// the publication, and before the commit, so that a kill repeats it.
func (s *session) feed(ctx context.Context, lanes []*lane) error {
	for _, b := range lanes {
		for attempt := 0; b.fed.rows != nil; attempt++ {
			err := s.deps.Online(ctx, s.spec.Update, b.fed.rows, b.fed.ids)
			if err == nil {
				break
			}
			if err := s.wait(ctx, attempt, "write to the online store", err); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *session) finish(ctx context.Context, l load) error {
	defer releaseLanes(l.lanes)
	lanes := present(l.lanes)
	fed := make(chan error, 1)
	go func() { fed <- s.feed(ctx, lanes) }()
	published := s.publish(ctx, lanes)
	if err := errors.Join(published, <-fed); err != nil {
		return err
	}
	lanes, err := s.commit(ctx, lanes)
	if err != nil {
		return err
	}
	for _, b := range lanes {
		s.metrics.count(s.spec.Name, b.counts)
		s.report.count(b)
		if len(b.letters) > 0 {
			s.tellDead(ctx, b)
		}
		if len(b.events) == 0 {
			continue
		}
		select {
		case s.acks <- b.events:
		case <-ctx.Done():
			return nil
		}
	}
	s.metrics.batch.Observe(time.Since(l.begun))
	s.report.works()
	return nil
}

// present leaves out the lanes of partitions that somebody else has by now.
func present(lanes []*lane) []*lane {
	kept := make([]*lane, 0, len(lanes))
	for _, b := range lanes {
		if !b.part.lost.Load() {
			kept = append(kept, b)
		}
	}
	return kept
}

// publish sends what the lanes have for each target.
func (s *session) publish(ctx context.Context, lanes []*lane) error {
	if err := s.begun(ctx, lanes); err != nil {
		return err
	}
	for i := range s.targets {
		t := &s.targets[i]
		if !t.rows {
			if err := s.publishAll(ctx, t, gathered(lanes, i)); err != nil {
				return err
			}
			continue
		}
		for _, b := range lanes {
			if err := s.publishRows(ctx, t, i, b); err != nil {
				return err
			}
		}
	}
	return nil
}

// begun notes where batches end before the first of them is published to an
// exact target.
func (s *session) begun(ctx context.Context, lanes []*lane) error {
	var begun []*lane
	for _, b := range lanes {
		for _, out := range b.out {
			if s.targets[out.target].exact && b.last >= 0 {
				begun = append(begun, b)
				break
			}
		}
	}
	if len(begun) == 0 {
		return nil
	}
	for attempt := 0; ; attempt++ {
		err := s.ledger.cut(ctx, begun)
		if err == nil || !fault.KindOf(err).Retryable() {
			return err
		}
		if err := s.wait(ctx, attempt, "commit", err); err != nil {
			return err
		}
	}
}

// sent is one event for a target with what it came from.
type sent struct {
	event bus.Event
	of    *bus.Event
	lane  *lane
}

func gathered(lanes []*lane, target int) []sent {
	var all []sent
	for _, b := range lanes {
		for _, out := range b.out {
			if out.target != target {
				continue
			}
			for i := range out.Events {
				all = append(all, sent{out.Events[i], out.of[i], b})
			}
		}
	}
	return all
}

// publishAll publishes events of all lanes together. One that the target
// refuses goes to the dead letters, and the others are published without it.
func (s *session) publishAll(ctx context.Context, t *target, all []sent) error {
	for attempt := 0; len(all) > 0; attempt++ {
		events := make([]bus.Event, len(all))
		for i := range all {
			events[i] = all[i].event
		}
		err := t.Publish(ctx, Publication{Events: events})
		if err == nil {
			return nil
		}
		if refused, ok := errors.AsType[*bus.Refused](err); ok && refused.Index >= 0 && refused.Index < len(all) {
			bad := all[refused.Index]
			bad.lane.letters = append(bad.lane.letters, letter{event: bad.of, name: bad.event.ID, stage: "publish to " + t.name, err: refused.Err, attempts: attempt + 1})
			bad.lane.counts.Dead++
			all = append(all[:refused.Index], all[refused.Index+1:]...)
			continue
		}
		if err := s.wait(ctx, attempt, "publish to "+t.name, err); err != nil {
			return err
		}
	}
	return nil
}

// publishRows publishes what one lane has for a target that takes rows, under
// the name by which an exact one knows it.
func (s *session) publishRows(ctx context.Context, t *target, at int, b *lane) error {
	p := Publication{Name: fmt.Sprintf("%s/%s/%d", s.run, b.part.name, b.seq)}
	if b.last < 0 && len(b.replayed) > 0 {
		p.Name = fmt.Sprintf("%s/dead/%d", s.run, b.replayed[0])
	}
	var parts []frame.Batch
	for _, out := range b.out {
		if out.target == at && len(out.Events) > 0 {
			p.Events = append(p.Events, out.Events...)
			parts = append(parts, out.Rows)
		}
	}
	if len(parts) == 0 {
		return nil
	}
	whole, err := together(parts)
	if err != nil {
		return err
	}
	defer whole.Release()
	p.Rows = whole
	for attempt := 0; ; attempt++ {
		err := t.Publish(ctx, p)
		if err == nil {
			return nil
		}
		if err := s.wait(ctx, attempt, "publish to "+t.name, err); err != nil {
			return err
		}
	}
}

// together makes one batch of parts that have the same columns.
func together(parts []frame.Batch) (frame.Batch, error) {
	if len(parts) == 1 {
		parts[0].Retain()
		return parts[0], nil
	}
	schema := parts[0].Schema()
	columns := make([]arrow.Array, schema.NumFields())
	rows := int64(0)
	for _, p := range parts {
		rows += p.NumRows()
	}
	for i := range columns {
		var pieces []arrow.Array
		for _, p := range parts {
			pieces = append(pieces, p.Column(i))
		}
		column, err := array.Concatenate(pieces, memory.DefaultAllocator)
		if err != nil {
			return nil, fault.Wrap(err, fault.Internal, "rows for one target have different columns")
		}
		defer column.Release()
		columns[i] = column
	}
	return array.NewRecordBatch(schema, columns, rows), nil
}

// commit writes the lanes down. It returns those that were: a partition that
// went to somebody else meanwhile is theirs to repeat.
func (s *session) commit(ctx context.Context, lanes []*lane) ([]*lane, error) {
	for attempt := 0; len(lanes) > 0; attempt++ {
		err := s.ledger.commit(ctx, lanes, s.bounds)
		if err == nil {
			return lanes, nil
		}
		if fault.Is(err, fault.Conflict) {
			if left := present(lanes); len(left) < len(lanes) {
				lanes = left
				continue
			}
			return nil, err
		}
		if err := s.wait(ctx, attempt, "commit", err); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// tellDead tells the house that events could not be dealt with.
func (s *session) tellDead(ctx context.Context, b *lane) {
	first := b.letters[0]
	s.deps.Happened(ctx, "stream.dead", s.spec.Name, map[string]string{
		"stream": s.spec.Name, "events": fmt.Sprint(len(b.letters)), "stage": first.stage, "reason": shortened(reasonOf(first.err)),
	})
}

// wait says why nothing goes on and waits before the next attempt. A failure
// that the catalog will not get over ends the session.
func (s *session) wait(ctx context.Context, attempt int, doing string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.report.retries(doing, err)
	s.metrics.retries.Add(1, s.spec.Name, doing)
	timer := time.NewTimer(s.deps.backoff(attempt))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
