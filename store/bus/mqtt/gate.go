package mqtt

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho/log"

	"github.com/leat-ai/leat/base/fault"
)

// gate is a connection that is not read from while enough waits to be taken.
// The library reads as much as the receive maximum allows, whatever the size
// of messages; so bytes are bounded where they come in, and the network makes
// the broker wait.
type gate struct {
	net.Conn
	shut   func() (wait <-chan struct{}) // nil when there is room
	alive  *pinger
	once   sync.Once
	closed chan struct{}
}

func newGate(c net.Conn, shut func() <-chan struct{}, p *pinger) *gate {
	return &gate{Conn: c, shut: shut, alive: p, closed: make(chan struct{})}
}

// Read reads when there is room.
func (g *gate) Read(p []byte) (int, error) {
	for {
		wait := g.shut()
		if wait == nil {
			return g.Conn.Read(p)
		}
		select {
		case <-wait:
			g.alive.PacketReceived() // that nothing came was our own doing
		case <-g.closed:
			return 0, net.ErrClosed
		case <-time.After(time.Second):
			g.alive.PacketReceived()
		}
	}
}

// lingering is how long a broker has to close its side first.
const lingering = 500 * time.Millisecond

// Close closes the connection and lets a read end. It reads what the broker
// still sends until that has closed its side: a socket that is closed with
// something unread resets the connection, and the broker would lose what it
// has not read itself, acknowledgements among it.
func (g *gate) Close() error {
	g.once.Do(func() {
		close(g.closed)
		half, ok := g.Conn.(interface{ CloseWrite() error })
		if !ok || half.CloseWrite() != nil || g.SetReadDeadline(time.Now().Add(lingering)) != nil {
			return
		}
		_, _ = io.Copy(io.Discard, g.Conn) // the end, or that it took too long
	})
	return g.Conn.Close()
}

// pinger tells the broker that the client lives, and finds that the broker
// does not. Unlike the library's it knows that a gate may be shut.
type pinger struct{ last atomic.Int64 } // nanoseconds when something came

// Run pings until ctx ends; an error says that the broker is silent.
func (p *pinger) Run(ctx context.Context, conn net.Conn, interval uint16) error {
	if interval == 0 {
		return nil
	}
	every := time.Duration(interval) * time.Second
	p.PacketReceived()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if time.Since(time.Unix(0, p.last.Load())) > 5*every/2 {
			return fault.New(fault.Unavailable, "the broker is silent")
		}
		_ = conn.SetWriteDeadline(time.Now().Add(every))
		if _, err := packets.NewControlPacket(packets.PINGREQ).WriteTo(conn); err != nil {
			return err
		}
		_ = conn.SetWriteDeadline(time.Time{})
	}
}

// PacketSent is of no interest.
func (p *pinger) PacketSent() {}

// PacketReceived notes that the broker lives.
func (p *pinger) PacketReceived() { p.last.Store(time.Now().UnixNano()) }

// PingResp is a packet.
func (p *pinger) PingResp() { p.PacketReceived() }

// SetDebug is of no interest.
func (p *pinger) SetDebug(log.Logger) {}
