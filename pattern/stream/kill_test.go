package stream_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leat-ai/leat/internal/killtest"
	"github.com/leat-ai/leat/pattern/stream"
	"github.com/leat-ai/leat/pattern/stream/codec"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/bus"
	"github.com/leat-ai/leat/store/bus/nats"
	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/store/catalog/sqlite"
)

func TestMain(m *testing.M) { killtest.Main(m, killtest.Jobs{"stream": killable}) }

// killed is how many events the job has, under load from the first instant.
const killed = 3000

// house is a bus and a catalog in a folder, as a server has them.
type house struct {
	server *nats.Server
	bus    *nats.Bus
	db     *catalog.DB
}

func openHouse(ctx context.Context, dir string) (h house, err error) {
	if h.server, err = nats.Start(ctx, nats.ServerConfig{Folder: filepath.Join(dir, "bus"), Sync: time.Second}); err != nil {
		return h, err
	}
	if h.bus, err = h.server.OpenTopics(ctx, nats.Topics{Partitions: 2}); err != nil {
		return h, err
	}
	h.db, err = sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(dir, "catalog.db")})
	return h, err
}

func (h house) close() error { return errors.Join(h.bus.Close(), h.db.Close(), h.server.Close()) }

// killable scores what is in the topic until all of it is done.
func killable(ctx context.Context, dir string) error {
	h, err := openHouse(ctx, dir)
	if err != nil {
		return err
	}
	d := stream.Deps{DB: h.db, Topics: natsTopics{h.bus}, Decider: &model{}, Views: activity, Codec: jsonCodec}
	streams := stream.New(d)
	s := fraud(func(s *spec.Stream) { s.Update, s.Batch = spec.Names{"activity"}, 50 })
	resource, err := spec.Of(&s)
	if err != nil {
		return err
	}
	streams.Converge([]spec.Resource{resource})
	for {
		st, err := streams.Status(ctx, "fraud-live")
		if err != nil {
			return err
		}
		if st.Decided >= killed {
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	return errors.Join(streams.Close(ctx), h.close())
}

func jsonCodec(_ context.Context, s spec.Stream) (codec.Codec, error) {
	return codec.New(codec.Config{Format: "json", Columns: codec.Columns(s.Schema, nil)})
}

type natsTopics struct{ bus *nats.Bus }

func (x natsTopics) Source(context.Context, spec.Stream, string) (stream.Source, error) {
	return natsSource{x.bus, "transactions"}, nil
}

func (x natsTopics) Target(ctx context.Context, _ spec.Stream, to string) (stream.Target, error) {
	w, err := x.bus.Writer(ctx, name(to))
	return natsTarget{w}, err
}

type natsSource struct {
	bus   *nats.Bus
	topic string
}

func (s natsSource) Positioned() bool { return true }
func (s natsSource) Close() error     { return nil }

func (s natsSource) Partitions(ctx context.Context) ([]string, error) {
	return s.bus.Partitions(ctx, s.topic)
}

func (s natsSource) Reader(ctx context.Context, o bus.ReadOptions) (bus.Reader, error) {
	return s.bus.Reader(ctx, s.topic, o)
}

type natsTarget struct{ bus.Writer }

func (t natsTarget) Publish(ctx context.Context, p stream.Publication) error {
	return t.Write(ctx, p.Events)
}

// fill publishes the events of the job, some of them twice.
func fill(dir string) error {
	ctx := context.Background()
	h, err := openHouse(ctx, dir)
	if err != nil {
		return err
	}
	w, err := h.bus.Writer(ctx, "transactions")
	if err != nil {
		return err
	}
	var events []bus.Event
	for i := range killed {
		events = append(events, txn(i, fmt.Sprint("c", i%17), float64(i%150)))
		if i%9 == 0 {
			again := txn(i, fmt.Sprint("c", i%17), float64(i%150))
			again.ID += "-again"
			events = append(events, again)
		}
	}
	return errors.Join(w.Write(ctx, events), w.Close(), h.close())
}

// published lists what came out: for each event its decision, and what its
// window held. An event that was lost or came out twice makes a difference.
func published(dir string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	h, err := openHouse(ctx, dir)
	if err != nil {
		return "", err
	}
	r, err := h.bus.Reader(ctx, "scored", bus.ReadOptions{})
	if err != nil {
		return "", err
	}
	var lines []string
	for len(lines) < killed || ctx.Err() == nil {
		patient := 5 * time.Second // of those that are there
		if len(lines) >= killed {
			patient = 300 * time.Millisecond // there should be no more
		}
		waiting, end := context.WithTimeout(ctx, patient)
		events, err := r.Next(waiting, 1000)
		over := waiting.Err() != nil
		end()
		if err != nil && over {
			break
		}
		if err != nil {
			return "", err
		}
		for _, e := range events {
			var s scored
			if err := json.Unmarshal(e.Body, &s); err != nil {
				return "", err
			}
			lines = append(lines, fmt.Sprintf("%s %s %s %v %s", s.ID, e.ID, s.Decided, s.Seen, s.Decision))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n"), errors.Join(r.Close(), h.close())
}

// TestStreamSurvivesKills kills the process that decides; LEAT_KILLS says how
// often.
func TestStreamSurvivesKills(t *testing.T) {
	killtest.Survives(t, killtest.Case{Job: "stream", Prepare: fill, Kills: 6, Outcome: published})
}
