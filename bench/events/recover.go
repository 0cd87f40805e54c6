package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/leat-ai/leat/bench/internal/binary"
	"github.com/leat-ai/leat/bench/internal/result"
	"github.com/leat-ai/leat/store/bus"
	"github.com/leat-ai/leat/store/bus/nats"
	"github.com/leat-ai/leat/surface/client"
)

// recovery kills the server with kill -9 in the middle of a backlog, several
// times, and times from the start of each successor's process to the first
// decision that it commits. In the end every event must have come out once.
func (t *trial) recovery(ctx context.Context, server *binary.Server, dir, address string) (*binary.Server, result.Figure, error) {
	var took []float64
	for range t.kills {
		if err := t.backlogged(ctx, t.backlog/3); err != nil {
			return server, result.Figure{}, err
		}
		if _, err := t.api.ResumeStream(ctx, "live"); err != nil {
			return server, result.Figure{}, err
		}
		time.Sleep(200*time.Millisecond + rand.N(300*time.Millisecond))
		if err := server.Kill(); err != nil {
			return server, result.Figure{}, err
		}
		next, err := binary.UpWith(ctx, dir, "--bus", "embedded?listen="+address)
		if err != nil {
			return server, result.Figure{}, err
		}
		server = next
		if err := t.connect(ctx, server, address); err != nil {
			return server, result.Figure{}, err
		}
		first, err := t.firstDecision(ctx, server)
		if err != nil {
			return server, result.Figure{}, err
		}
		took = append(took, first.Seconds())
		if _, err := t.committed(ctx); err != nil {
			return server, result.Figure{}, err
		}
	}
	if err := t.once(ctx); err != nil {
		return server, result.Figure{}, err
	}
	fmt.Printf("%d kills: first decision after %.2f s\n", t.kills, took)
	return server, figure("first decision after kill -9", "s", took).AtMost(2), nil
}

// connect makes client, bus and topics anew, which the server took with it.
func (t *trial) connect(ctx context.Context, server *binary.Server, address string) (err error) {
	t.pid = server.PID()
	if t.api, err = client.New(server.URL, client.Options{}); err != nil {
		return err
	}
	if t.bus != nil {
		_ = t.bus.Close() // of a server that is gone
	}
	if t.bus, err = nats.Open(ctx, nats.Config{Servers: []string{"nats://" + address}}); err != nil {
		return err
	}
	return t.open(ctx)
}

// firstDecision waits until more is committed than the server found at its
// start.
func (t *trial) firstDecision(ctx context.Context, server *binary.Server) (time.Duration, error) {
	begun := int64(-1)
	for range 3000 {
		st, err := t.api.Stream(ctx, "live")
		if err != nil {
			return 0, err
		}
		if begun < 0 {
			begun = st.Decided
		}
		if st.Decided > begun || st.Decided >= int64(t.next) {
			return time.Since(server.Started), nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return 0, fmt.Errorf("nothing was decided in 30 s after a kill")
}

// once reads the whole topic of decisions and compares it with what went in.
func (t *trial) once(ctx context.Context) error {
	r, err := t.bus.Reader(ctx, "scored", bus.ReadOptions{Assigned: func(_ context.Context, partitions []string) (map[string]int64, error) {
		from := map[string]int64{}
		for _, p := range partitions {
			from[p] = bus.First
		}
		return from, nil
	}})
	if err != nil {
		return err
	}
	defer r.Close()
	t.reader = r
	return t.drain(ctx, t.next, nil)
}
