package source

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/guard/egress"
)

// tunnel is how a program of others reaches the network: it listens on this
// machine alone, and every connection that goes through it is dialled by
// guard/egress. It ends when more bytes come than may.
type tunnel struct {
	listener net.Listener
	dialer   egress.Dialer
	policy   egress.Policy
	left     atomic.Int64
	life     context.Context
	end      context.CancelFunc
	conns    sync.WaitGroup
	ended    func()
	serve    func(net.Conn)
}

const tunnelHeader = 30 * time.Second

// newTunnel is a proxy of HTTP: CONNECT for https, whole addresses for http.
func newTunnel(c GitConfig, most int64) (*tunnel, error) {
	t, err := listen(c, most)
	if err != nil {
		return nil, err
	}
	t.serve = t.proxy
	go t.accept()
	return t, nil
}

// newForward sends every connection to one host.
func newForward(ctx context.Context, c GitConfig, to string, most int64) (*tunnel, error) {
	t, err := listen(c, most)
	if err != nil {
		return nil, err
	}
	// What cannot be reached is told at once, by our own words.
	conn, err := t.dialer.DialContext(ctx, "tcp", to)
	if err != nil {
		t.close()
		return nil, err
	}
	_ = conn.Close() // it was only tried
	t.serve = func(inner net.Conn) {
		outer, err := t.dialer.DialContext(t.life, "tcp", to)
		if err != nil {
			return
		}
		t.join(inner, inner, outer)
	}
	go t.accept()
	return t, nil
}

func listen(c GitConfig, most int64) (*tunnel, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "there is no port for a tunnel")
	}
	t := &tunnel{listener: l, policy: c.Policy, dialer: egress.Dialer{Policy: c.Policy, Resolver: c.Resolver}}
	t.life, t.end = context.WithCancel(context.Background())
	t.left.Store(most)
	return t, nil
}

func (t *tunnel) address() string { return "http://" + t.listener.Addr().String() }

func (t *tunnel) port() string {
	_, port, _ := net.SplitHostPort(t.listener.Addr().String()) // it listens, so it has one
	return port
}

func (t *tunnel) close() {
	t.end()
	_ = t.listener.Close() // nobody comes any more
	t.conns.Wait()
	if t.ended != nil {
		t.ended()
	}
}

func (t *tunnel) accept() {
	for {
		conn, err := t.listener.Accept()
		if err != nil {
			return
		}
		t.conns.Go(func() {
			stop := context.AfterFunc(t.life, func() { _ = conn.Close() })
			defer stop()
			defer conn.Close()
			t.serve(conn)
		})
	}
}

// proxy answers one connection of a client of HTTP.
func (t *tunnel) proxy(inner net.Conn) {
	if inner.SetReadDeadline(time.Now().Add(tunnelHeader)) != nil {
		return
	}
	r := bufio.NewReader(inner)
	request, err := http.ReadRequest(r)
	if err != nil {
		return
	}
	if inner.SetReadDeadline(time.Time{}) != nil {
		return
	}
	if request.Method != http.MethodConnect {
		t.plain(inner, r, request)
		return
	}
	outer, err := t.dialer.DialContext(t.life, "tcp", request.Host)
	if err != nil {
		refuse(inner, err)
		return
	}
	if _, err := io.WriteString(inner, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		_ = outer.Close() // nobody is there
		return
	}
	t.join(inner, r, outer)
}

// plain answers requests without TLS, which only hosts get that the policy
// names.
func (t *tunnel) plain(inner net.Conn, r *bufio.Reader, request *http.Request) {
	transport := egress.Transport(t.policy, egress.Options{MaxBody: t.left.Load(), Resolver: t.dialer.Resolver})
	for {
		request.RequestURI = ""
		request.Header.Del("Proxy-Connection")
		answer, err := transport.RoundTrip(request.WithContext(t.life))
		if err != nil {
			refuse(inner, err)
			return
		}
		werr := answer.Write(&counted{inner, t})
		_ = answer.Body.Close() // it was written
		if werr != nil || answer.Close || request.Close {
			return
		}
		if request, err = http.ReadRequest(r); err != nil {
			return
		}
	}
}

func refuse(inner net.Conn, err error) {
	status := "502 Bad Gateway"
	if fault.Is(err, fault.Forbidden) {
		status = "403 Forbidden"
	}
	_, _ = io.WriteString(inner, "HTTP/1.1 "+status+"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n") // nobody may be there
}

// join copies both ways until one end is done.
func (t *tunnel) join(inner net.Conn, fromInner io.Reader, outer net.Conn) {
	stop := context.AfterFunc(t.life, func() { _ = outer.Close() })
	defer stop()
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(outer, fromInner) // its end is told to the other side
		if half, ok := outer.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite() // it may be gone
		}
		close(done)
	}()
	_, _ = io.Copy(&counted{inner, t}, outer) // its end is the end
	_, _ = outer.Close(), inner.Close()
	<-done
}

// counted is a writer that fails when more has come than may.
type counted struct {
	w io.Writer
	t *tunnel
}

var errTooMuch = errors.New("more bytes than may come")

func (c *counted) Write(p []byte) (int, error) {
	if c.t.left.Add(-int64(len(p))) < 0 {
		c.t.end()
		return 0, errTooMuch
	}
	return c.w.Write(p)
}
