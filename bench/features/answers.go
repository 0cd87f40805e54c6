package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/leat-ai/leat/bench/internal/load"
)

// sides are the ways to ask for n entities; the peer is the last one.
func (h *house) sides(n int) ([]*side, error) {
	bodies := h.requests(n)
	var sides []*side
	add := func(name, url string, decode func([]byte) (answered, error), pids ...int) error {
		t, err := load.New(name, url, bodies)
		sides = append(sides, &side{Target: t, decode: decode, pids: pids})
		return err
	}
	const own, protocol = "/v1/features/read", "/get-online-features"
	redis := h.redisServer.cmd.Process.Pid
	for _, err := range []error{
		add("leat", h.local.URL+own, decodeOwn, h.local.PID()),
		add("leat, Feast's protocol", h.local.URL+protocol, decodeFeast, h.local.PID()),
		add("leat with Redis", h.redis.URL+own, decodeOwn, h.redis.PID(), redis),
	} {
		if err != nil {
			return nil, err
		}
	}
	if h.alone {
		return sides, nil
	}
	return sides, add("Feast with Redis", "http://127.0.0.1:"+h.peerPort+protocol, decodeFeast, h.peer.cmd.Process.Pid, redis)
}

// requests name every feature, of n drivers each; they mean the same to both.
func (h *house) requests(n int) [][]byte {
	var features []string
	each := h.features / h.views
	for i := range h.features {
		features = append(features, fmt.Sprintf("v%d:f%d", i/each, i))
	}
	random := rand.New(rand.NewPCG(3, uint64(n)))
	bodies := make([][]byte, h.bodies)
	for i := range bodies {
		drivers := make([]string, n)
		for k := range drivers {
			drivers[k] = driver(random.IntN(h.entities))
		}
		bodies[i], _ = json.Marshal(map[string]any{"features": features, "entities": map[string][]string{"driver": drivers}}) // strings alone
	}
	return bodies
}

// answered is the values of an answer by feature, and the time of each row.
type answered struct {
	values map[string][]float64
	times  []time.Time
}

func decodeFeast(text []byte) (a answered, err error) {
	var m struct {
		Metadata struct {
			Names []string `json:"feature_names"`
		}
		Results []struct {
			Values   []any
			Statuses []string
			Times    []time.Time `json:"event_timestamps"`
		}
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return a, err
	}
	a.values = map[string][]float64{}
	for i, name := range m.Metadata.Names {
		if name == "driver" {
			continue
		}
		for k, v := range m.Results[i].Values {
			f, ok := v.(float64)
			if !ok || m.Results[i].Statuses[k] != "PRESENT" {
				return a, fmt.Errorf("%s is %v, %s", name, v, m.Results[i].Statuses[k])
			}
			a.values[name] = append(a.values[name], f)
		}
		a.times = m.Results[i].Times
	}
	return a, nil
}

func decodeOwn(text []byte) (a answered, err error) {
	var m struct {
		Views []struct {
			Status   []string
			Time     []time.Time
			Features map[string][]float64
		}
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return a, err
	}
	a.values = map[string][]float64{}
	for _, v := range m.Views {
		if slices.ContainsFunc(v.Status, func(s string) bool { return s != "present" }) {
			return a, fmt.Errorf("an entity is not there: %v", v.Status)
		}
		for name, values := range v.Features {
			a.values[name] = values
		}
		a.times = v.Time
	}
	return a, nil
}

// equal asks every side with every request and compares the answers to the
// last bit.
func equal(sides []*side) error {
	var first []answered
	for i, s := range sides {
		err := s.Each(func(k int, answer []byte) error {
			a, err := s.decode(answer)
			if err != nil {
				return fmt.Errorf("%s, request %d: %w: %.300s", s.Name, k, err, answer)
			}
			if i == 0 {
				first = append(first, a)
				return nil
			}
			return a.same(first[k], s.Name, k)
		})
		if err != nil {
			return err
		}
	}
	fmt.Fprintf(os.Stderr, "%d answers of each of %d sides are equal\n", len(first), len(sides))
	return nil
}

func (a answered) same(b answered, name string, request int) error {
	if len(a.values) != len(b.values) || len(a.values) == 0 || !slices.EqualFunc(a.times, b.times, time.Time.Equal) {
		return fmt.Errorf("%s, request %d: %d features at %v, want %d at %v", name, request, len(a.values), a.times, len(b.values), b.times)
	}
	for f, values := range a.values {
		if !slices.Equal(values, b.values[f]) {
			return fmt.Errorf("%s, request %d: %s is %v, want %v", name, request, f, values, b.values[f])
		}
	}
	return nil
}
