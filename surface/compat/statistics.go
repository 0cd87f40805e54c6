package compat

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leat-ai/leat/flow/deploy"
)

// Statistics counts what came through a Front, by endpoint and release. A
// request costs some additions and no lock that others wait for.
type Statistics struct {
	mu     sync.RWMutex
	models map[modelKey]*modelStats
}

type modelKey struct {
	endpoint string
	release  int
}

// maxModels bounds how many releases are counted; beyond, counts of any other
// are given up.
const maxModels = 4096

func newStatistics() *Statistics { return &Statistics{models: map[modelKey]*modelStats{}} }

func (s *Statistics) of(r deploy.Release) *modelStats {
	key := modelKey{r.Endpoint, r.Number}
	s.mu.RLock()
	m := s.models[key]
	s.mu.RUnlock()
	if m != nil {
		return m
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.models[key]; m != nil {
		return m
	}
	if len(s.models) >= maxModels {
		for other := range s.models {
			delete(s.models, other)
			break
		}
	}
	m = new(modelStats)
	s.models[key] = m
	return m
}

// Of returns what a release of an endpoint has answered since the server
// started.
func (s *Statistics) Of(r deploy.Release) Counts { return s.of(r).counts() }

// duration counts durations.
type duration struct{ count, ns atomic.Uint64 }

func (d *duration) add(t time.Duration) {
	d.count.Add(1)
	d.ns.Add(uint64(max(t, 0)))
}

func (d *duration) read() Duration { return Duration{d.count.Load(), d.ns.Load()} }

// Requests are counted apart by their number of rows: exactly up to
// exactSizes, then up to each power of two.
const (
	exactSizes = 32
	sizes      = exactSizes + 26
)

// sizeIndex is where requests of some rows are counted, and the size that
// stands for them there.
func sizeIndex(rows int) (i, size int) {
	if rows <= exactSizes {
		return rows, rows
	}
	power := min(bits.Len(uint(rows-1)), 30) // 2^power is the least power of two that holds them
	return exactSizes + power - 5, 1 << power
}

type modelStats struct {
	last, rows, requests                           atomic.Uint64
	success, fail, queue, input, inference, output duration
	bySize                                         [sizes]atomic.Pointer[sizeStats]
}

type sizeStats struct {
	size                     uint64
	input, inference, output duration
}

// timing is when a request came to each of its steps.
type timing struct {
	begin, read, decided, end time.Time
	waited                    time.Duration
}

func (m *modelStats) add(t *timing, rows int, err error) {
	if err != nil {
		m.fail.add(time.Since(t.begin))
		return
	}
	input, inference, output := t.read.Sub(t.begin), t.decided.Sub(t.read)-t.waited, t.end.Sub(t.decided)
	m.last.Store(uint64(t.end.UnixMilli()))
	m.rows.Add(uint64(rows))
	m.requests.Add(1)
	m.success.add(t.end.Sub(t.begin))
	m.queue.add(t.waited)
	m.input.add(input)
	m.inference.add(inference)
	m.output.add(output)
	i, size := sizeIndex(rows)
	s := m.bySize[i].Load()
	if s == nil {
		m.bySize[i].CompareAndSwap(nil, &sizeStats{size: uint64(size)})
		s = m.bySize[i].Load()
	}
	s.input.add(input)
	s.inference.add(inference)
	s.output.add(output)
}

// Duration is how often something was done, and how long that took in all.
type Duration struct {
	Count uint64 `json:"count"`
	NS    uint64 `json:"ns"`
}

// Counts is what a release has answered. Its JSON is that of the protocol's
// statistics extension, but for the model's name.
type Counts struct {
	LastInference  uint64 `json:"last_inference"`  // milliseconds since 1970
	InferenceCount uint64 `json:"inference_count"` // rows
	ExecutionCount uint64 `json:"execution_count"` // requests
	Inference      struct {
		Success       Duration `json:"success"`
		Fail          Duration `json:"fail"`
		Queue         Duration `json:"queue"`
		ComputeInput  Duration `json:"compute_input"`
		ComputeInfer  Duration `json:"compute_infer"`
		ComputeOutput Duration `json:"compute_output"`
		CacheHit      Duration `json:"cache_hit"`
		CacheMiss     Duration `json:"cache_miss"`
	} `json:"inference_stats"`
	Batches []SizeCounts `json:"batch_stats"`
}

// SizeCounts is what took requests of one number of rows; over 32 rows, of up
// to that number.
type SizeCounts struct {
	Size          uint64   `json:"batch_size"`
	ComputeInput  Duration `json:"compute_input"`
	ComputeInfer  Duration `json:"compute_infer"`
	ComputeOutput Duration `json:"compute_output"`
}

func (m *modelStats) counts() Counts {
	c := Counts{
		LastInference: m.last.Load(), InferenceCount: m.rows.Load(), ExecutionCount: m.requests.Load(), Batches: []SizeCounts{},
	}
	c.Inference.Success, c.Inference.Fail, c.Inference.Queue = m.success.read(), m.fail.read(), m.queue.read()
	c.Inference.ComputeInput, c.Inference.ComputeInfer, c.Inference.ComputeOutput = m.input.read(), m.inference.read(), m.output.read()
	for i := range m.bySize {
		if s := m.bySize[i].Load(); s != nil {
			c.Batches = append(c.Batches, SizeCounts{s.size, s.input.read(), s.inference.read(), s.output.read()})
		}
	}
	return c
}
