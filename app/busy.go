package app

import (
	"runtime"
	"sync"
	"syscall"
	"time"
)

// meter tells how busy this process was since it was asked last.
type meter struct {
	mu  sync.Mutex
	at  time.Time
	cpu time.Duration
}

// share is the part of the processors' time that the process took, between 0
// and 1; 0 when it is asked for the first time.
func (m *meter) share() float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	now, cpu := time.Now(), time.Duration(used.Utime.Nano()+used.Stime.Nano())
	share := 0.0
	if wall := now.Sub(m.at); !m.at.IsZero() && wall > 0 {
		share = float64(cpu-m.cpu) / (float64(wall) * float64(runtime.GOMAXPROCS(0)))
	}
	m.at, m.cpu = now, cpu
	return share
}
