package egress

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/leat-ai/leat/base/fault"
)

// Resolver finds the addresses of a name. *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

const (
	dialTimeout = 10 * time.Second
	// maxAddresses bounds how many addresses of a name are tried.
	maxAddresses = 8
	// stallTimeout is how long a connection may be silent while something is
	// expected of it.
	stallTimeout = 2 * time.Minute
)

// Dialer opens connections to addresses that a policy allows. It is safe for
// many goroutines.
type Dialer struct {
	Policy   Policy
	Resolver Resolver      // nil: the system's
	Stall    time.Duration // how long a connection may be silent; 2 minutes when 0
}

// DialContext connects to "host:port". An address that the policy does not
// allow is a Forbidden fault; a name or a server that does not answer is an
// Unavailable one.
func (d Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "this is no address to connect to")
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	addresses, err := d.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	first := refused(host)
	allowed := 0
	for _, ip := range addresses {
		if d.Policy.Check(host, ip) != nil {
			continue
		}
		conn, err := d.dial(ctx, network, host, netip.AddrPortFrom(ip, 0), port)
		if err == nil {
			return conn, nil
		}
		if allowed++; allowed == 1 {
			first = err
		}
	}
	return nil, first
}

func (d Dialer) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}, nil
	}
	resolver := d.Resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	addresses, err := resolver.LookupNetIP(ctx, "ip", host)
	if err != nil || len(addresses) == 0 {
		return nil, fault.New(fault.Unavailable, "the name %q has no address", host).
			Hint("check how it is spelled, and that this machine can resolve names").Because(err)
	}
	return addresses[:min(len(addresses), maxAddresses)], nil
}

// dial connects to one address, which is looked at once more at the last
// moment: as the number that the system is going to dial.
func (d Dialer) dial(ctx context.Context, network, host string, ip netip.AddrPort, port string) (net.Conn, error) {
	inner := net.Dialer{Control: func(_, dialled string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(dialled)
		if err != nil {
			return refused(host)
		}
		return d.Policy.Check(host, at.Addr())
	}}
	conn, err := inner.DialContext(ctx, network, net.JoinHostPort(ip.Addr().String(), port))
	if err != nil {
		if fault.Is(err, fault.Forbidden) {
			return nil, refused(host)
		}
		return nil, fault.Wrap(err, fault.Unavailable, "%q does not answer", host)
	}
	return &watched{Conn: conn, stall: cmp.Or(d.Stall, stallTimeout)}, nil
}

// watched ends a connection on which nothing moves any more.
type watched struct {
	net.Conn
	stall time.Duration
}

func (w *watched) Read(p []byte) (int, error) {
	if err := w.SetReadDeadline(time.Now().Add(w.stall)); err != nil {
		return 0, err
	}
	return w.Conn.Read(p)
}

func (w *watched) Write(p []byte) (int, error) {
	if err := w.SetWriteDeadline(time.Now().Add(w.stall)); err != nil {
		return 0, err
	}
	return w.Conn.Write(p)
}
