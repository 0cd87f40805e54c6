// Package load asks HTTP servers with bytes that are ready, on the cores that it
// measures: as fast as answers come (Closed), or at moments drawn in advance
// (Open). It also tells what processor time a server took.
package load

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// Target is a server under load. Its requests are written once, because the
// load generator runs on the cores that it measures.
type Target struct {
	Name     string
	host     string
	requests [][]byte
	grpc     bool // requests are messages of gRPC
}

// connection is one connection, kept open, with one request under way at a
// time.
type connection interface {
	// ask sends a request and reads its answer; body may be nil to throw it
	// away.
	ask(request []byte, body *bytes.Buffer) error
	io.Closer
}

// New returns the target at an address that is asked with JSON bodies.
func New(name, address string, bodies [][]byte) (*Target, error) {
	return NewWith(name, address, "Content-Type: application/json\r\n", bodies)
}

// NewWith is New with bodies of another kind, as lines of headers say.
func NewWith(name, address, headers string, bodies [][]byte) (*Target, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	t := &Target{Name: name, host: u.Host}
	for _, body := range bodies {
		var b bytes.Buffer
		fmt.Fprintf(&b, "POST %s HTTP/1.1\r\nHost: %s\r\n%sContent-Length: %d\r\n\r\n", u.Path, u.Host, headers, len(body))
		b.Write(body)
		t.requests = append(t.requests, b.Bytes())
	}
	return t, nil
}

// conn is a connection of HTTP/1.1.
type conn struct {
	net.Conn
	in *bufio.Reader
}

func (t *Target) dial() (connection, error) {
	if t.grpc {
		return dialGRPC(t.host)
	}
	c, err := net.Dial("tcp", t.host)
	if err != nil {
		return nil, err
	}
	return &conn{c, bufio.NewReaderSize(c, 8<<10)}, nil
}

func (c *conn) ask(request []byte, body *bytes.Buffer) error {
	if _, err := c.Write(request); err != nil {
		return err
	}
	status, err := c.in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(status, []byte("HTTP/1.1 200")) {
		return fmt.Errorf("answered %q", bytes.TrimSpace(status))
	}
	length, err := c.length()
	if err != nil {
		return err
	}
	if body != nil {
		body.Reset()
	}
	if length >= 0 {
		return c.copy(length, body)
	}
	for { // in chunks, each behind its length
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		size, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 32)
		if err != nil {
			return err
		}
		if err := c.copy(int(size), body); err != nil {
			return err
		}
		if _, err := c.in.Discard(len("\r\n")); size == 0 || err != nil {
			return err
		}
	}
}

// copy reads n bytes of an answer into body, or throws them away.
func (c *conn) copy(n int, body *bytes.Buffer) (err error) {
	if body == nil {
		_, err = c.in.Discard(n)
	} else {
		_, err = io.CopyN(body, c.in, int64(n))
	}
	return err
}

// Each asks with every request in turn, and calls f with each answer.
func (t *Target) Each(f func(i int, answer []byte) error) error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	var body bytes.Buffer
	for i, request := range t.requests {
		if err := c.ask(request, &body); err != nil {
			return fmt.Errorf("%s: %w", t.Name, err)
		}
		if err := f(i, body.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// length reads the headers and returns the Content-Length; -1 of an answer in
// chunks.
func (c *conn) length() (int, error) {
	length := -1
	name := []byte("content-length:")
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if len(line) <= 2 {
			return length, nil
		}
		if len(line) > len(name) && bytes.EqualFold(line[:len(name)], name) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(name):]))); err != nil {
				return 0, err
			}
		}
	}
}

// Closed asks over n connections, each as soon as it has its answer, and
// returns the answers per second.
func (t *Target) Closed(ctx context.Context, n int, duration time.Duration) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, duration)
	defer cancel()
	counts, failures := make([]int, n), make(chan error, n)
	var group sync.WaitGroup
	start := time.Now()
	for k := range n {
		c, err := t.dial()
		if err != nil {
			return 0, err
		}
		group.Go(func() {
			defer c.Close()
			for ctx.Err() == nil {
				if err := c.ask(t.requests[(k+counts[k]*n)%len(t.requests)], nil); err != nil {
					failures <- err
					return
				}
				counts[k]++
			}
		})
	}
	group.Wait()
	seconds := time.Since(start).Seconds()
	select {
	case err := <-failures:
		return 0, fmt.Errorf("%s: %w", t.Name, err)
	default:
	}
	total := 0
	for _, count := range counts {
		total += count
	}
	return float64(total) / seconds, nil
}

// tick is how finely the open loop keeps time.
const tick = 100 * time.Microsecond

// Open sends requests at moments drawn in advance (Poisson), whether or not
// earlier ones are answered, and returns each one's time from the moment that
// it was due: waiting for a free connection counts.
func (t *Target) Open(rate float64, n int, duration time.Duration) ([]time.Duration, error) {
	random := rand.New(rand.NewPCG(1, uint64(rate)))
	var dues []time.Duration
	for at := 0.0; at < duration.Seconds(); at += random.ExpFloat64() / rate {
		dues = append(dues, time.Duration(at*1e9))
	}
	took := make([]time.Duration, len(dues))
	next, failures := make(chan int, len(dues)), make(chan error, n)
	conns := make([]connection, n)
	for k := range conns {
		var err error
		if conns[k], err = t.dial(); err != nil {
			return nil, err
		}
	}
	start := time.Now()
	var group sync.WaitGroup
	for _, c := range conns {
		group.Go(func() {
			defer c.Close()
			for i := range next {
				if err := c.ask(t.requests[i%len(t.requests)], nil); err != nil {
					failures <- err
					return
				}
				took[i] = time.Since(start) - dues[i]
			}
		})
	}
	pace(start, dues, next)
	close(next)
	group.Wait()
	select {
	case err := <-failures:
		return nil, fmt.Errorf("%s: %w", t.Name, err)
	default:
		return took, nil
	}
}

// pace hands out what is due. It sleeps in the kernel on a thread of its own,
// because timers of the runtime are as coarse as a millisecond, and the runtime
// is not told, because it would lend the thread's place to others meanwhile and
// let it wait for one afterwards.
func pace(start time.Time, dues []time.Duration, next chan<- int) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for i := range dues {
		for time.Since(start) < dues[i] {
			wait := max(dues[i]-time.Since(start), tick)
			nap := syscall.NsecToTimespec(int64(wait))
			_, _, _ = syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&nap)), 0, 0)
		}
		next <- i
	}
}
