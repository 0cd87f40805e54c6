package registry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
)

// thing is a model that counts its ends.
type thing struct {
	id    string
	ended *atomic.Int64
}

func (thing) Signature() model.Signature { return model.Signature{} }
func (thing) Predict(context.Context, frame.Batch) (frame.Batch, error) {
	return nil, errors.ErrUnsupported
}

// program is a thing that has to be closed.
type program struct{ thing }

func (p *program) Close() error { p.ended.Add(1); return nil }

// Many hold and let go of many models: each is loaded for those who hold it,
// never ended under one of them, and in the end there are no more than may
// stay.
func TestModelsStayAsLongAsSomebodyHoldsThem(t *testing.T) {
	r := newResident(100)
	var loads, ended, alive atomic.Int64
	load := func(id string) func(context.Context) (model.Model, int64, error) {
		return func(context.Context) (model.Model, int64, error) {
			loads.Add(1)
			if id == "m3" {
				return nil, 0, errors.New("damaged")
			}
			alive.Add(1)
			return &program{thing{id, &ended}}, 30, nil
		}
	}
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(g), 1))
			for range 2000 {
				id := fmt.Sprintf("m%d", random.IntN(10))
				m, release, err := r.hold(context.Background(), id, load(id))
				if id == "m3" {
					if err == nil {
						t.Error("a damaged model was held")
					}
					continue
				}
				if err != nil || m.(*program).id != id {
					t.Errorf("%s: %v, %v", id, m, err)
					return
				}
				release()
				release()
			}
		})
	}
	group.Wait()
	if r.bytes != 0 || len(r.models) != 0 || ended.Load() != alive.Load() {
		t.Errorf("%d bytes in %d models stayed; %d of %d ended", r.bytes, len(r.models), ended.Load(), alive.Load())
	}
}

func TestModelsStayWhileThereIsRoom(t *testing.T) {
	r := newResident(100)
	loads := 0
	once := func(id string) {
		t.Helper()
		_, release, err := r.hold(t.Context(), id, func(context.Context) (model.Model, int64, error) {
			loads++
			return thing{id: id}, 30, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		release()
	}
	for range 3 { // three of thirty fit into a hundred
		for _, id := range []string{"a", "b", "c"} {
			once(id)
		}
	}
	if loads != 3 {
		t.Errorf("%d loads for three models", loads)
	}
	once("d")
	if r.bytes != 90 || r.models["a"] != nil {
		t.Errorf("%d bytes; the one let go first is still there: %t", r.bytes, r.models["a"] != nil)
	}
	if r.full() {
		t.Error("full, with room left")
	}
	if err := r.close(); err != nil || r.bytes != 0 {
		t.Errorf("after close %d bytes, %v", r.bytes, err)
	}
}

func TestWhoWaitsForAModelMayGiveUp(t *testing.T) {
	r := newResident(100)
	slow := make(chan struct{})
	var loads atomic.Int64
	load := func(context.Context) (model.Model, int64, error) {
		loads.Add(1)
		<-slow
		return thing{}, 1, nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		if _, _, err := r.hold(ctx, "a", load); !errors.Is(err, context.Canceled) {
			t.Errorf("gave up with %v", err)
		}
	})
	cancel()
	group.Wait()
	group.Go(func() {
		if _, _, err := r.hold(t.Context(), "a", load); err != nil {
			t.Errorf("who stayed: %v", err)
		}
	})
	close(slow)
	group.Wait()
	if loads.Load() != 1 {
		t.Errorf("%d loads", loads.Load())
	}
}
