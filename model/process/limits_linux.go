package process

import (
	"time"

	"golang.org/x/sys/unix"
)

// limit bounds a process that was just started, and all that it will start.
// What runs before is the system's loader: a worker's first own instruction
// comes after tens of milliseconds in every interpreter.
func limit(pid int, m Manifest) error {
	set := func(resource int, value uint64) error {
		return unix.Prlimit(pid, resource, &unix.Rlimit{Cur: value, Max: value}, nil)
	}
	if err := set(unix.RLIMIT_NOFILE, uint64(m.OpenFiles)); err != nil {
		return err
	}
	if err := set(unix.RLIMIT_CORE, 0); err != nil {
		return err
	}
	if m.Memory > 0 {
		if err := set(unix.RLIMIT_AS, uint64(m.Memory)); err != nil {
			return err
		}
	}
	if m.CPU > 0 {
		return set(unix.RLIMIT_CPU, uint64(max(m.CPU.Std()/time.Second, 1)))
	}
	return nil
}
