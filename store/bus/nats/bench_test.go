package nats_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/leat-ai/leat/store/bus"
	"github.com/leat-ai/leat/store/bus/nats"
)

const benchBody = 1024

// BenchmarkPublish publishes events one by one from some goroutines, with
// every acknowledged one on the disk.
func BenchmarkPublish(b *testing.B) {
	for _, sync := range []time.Duration{0, time.Second} {
		for _, writers := range []int{1, 16, 256} {
			b.Run(fmt.Sprintf("sync=%v/writers=%d", sync, writers), func(b *testing.B) { publishOnes(b, sync, writers) })
		}
	}
}

func publishOnes(b *testing.B, every time.Duration, writers int) {
	own := open(b, start(b, nats.ServerConfig{Sync: every}))
	defer own.Close()
	w, err := own.Writer(b.Context(), "bench")
	if err != nil {
		b.Fatal(err)
	}
	body := bytes.Repeat([]byte("x"), benchBody)
	b.SetBytes(benchBody)
	b.ResetTimer()
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			for n := i; n < b.N; n += writers {
				id := fmt.Sprint(n)
				if err := w.Write(b.Context(), []bus.Event{{ID: id, Key: []byte(id), Body: body}}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkPublishBatches publishes batches, as a stream does.
func BenchmarkPublishBatches(b *testing.B) {
	for _, size := range []int{100, 1000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			own := open(b, start(b, nats.ServerConfig{}))
			defer own.Close()
			publishBatches(b, own, size)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

func publishBatches(b *testing.B, own bus.Bus, size int) {
	w, err := own.Writer(b.Context(), "bench")
	if err != nil {
		b.Fatal(err)
	}
	body := bytes.Repeat([]byte("x"), benchBody)
	b.SetBytes(benchBody)
	b.ResetTimer()
	for n := 0; n < b.N; n += size {
		events := make([]bus.Event, min(size, b.N-n))
		for i := range events {
			id := fmt.Sprint(n + i)
			events[i] = bus.Event{ID: id, Key: []byte(id), Body: body}
		}
		if err := w.Write(b.Context(), events); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
}

// BenchmarkRead reads what was published.
func BenchmarkRead(b *testing.B) {
	own := open(b, start(b, nats.ServerConfig{Sync: time.Second}))
	defer own.Close()
	publishBatches(b, own, 1000)
	r, err := own.Reader(b.Context(), "bench", bus.ReadOptions{Group: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	b.StartTimer()
	for n := 0; n < b.N; {
		events, err := r.Next(b.Context(), 1000)
		if err != nil {
			b.Fatal(err)
		}
		n += len(events)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
