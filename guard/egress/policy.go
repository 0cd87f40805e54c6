// Package egress keeps what leaves Leat on its way: a client for addresses
// that come from configuration, resources or callers, and that must not be a
// way into the network that Leat stands in.
//
// It stands in guard/. Parse makes a Policy of what the operator allows;
// Client(policy) is the HTTP client for everything that fetches or posts to an
// address it did not make up itself (sources over https, webhooks, models on
// other servers). Transport and Dialer are its two lower layers.
//
// What is promised:
//
//   - The address that is dialled is what is checked, after the name was
//     resolved, for every connection anew. So it does not matter how an
//     address is written (decimal, octal, hexadecimal, mapped into IPv6), what
//     a name resolves to the second time, or where a redirect leads.
//   - Without an allowance only public addresses are dialled, and only https.
//   - A redirect to another origin takes no credentials along, and a query or
//     a password of the first address is told to nobody.
//   - Time, size of headers and size of bodies are bounded. Nothing is
//     unpacked on the way, so a bound is one of what is held.
package egress

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/leat-ai/leat/base/fault"
)

// Policy says which addresses may be dialled beyond public ones. The zero
// value allows none of them.
type Policy struct {
	// Hosts may have private and loopback addresses, and are spoken to in
	// plain http where an address says so. They are names or addresses in
	// lower case; ".example.com" means every name below example.com. A host
	// in the list is trusted with what its name resolves to, but for
	// link-local and metadata addresses: those take a network.
	Hosts []string
	// Networks are allowed whatever name leads there.
	Networks []netip.Prefix
}

// maxAllowed bounds how many hosts and networks a policy has.
const maxAllowed = 1000

// Parse reads a list of hosts and networks, such as
// "files.internal,.corp.example,10.20.0.0/16". Every mistake is reported.
func Parse(list string) (Policy, error) {
	var p Policy
	var mistakes fault.List
	for item := range strings.SplitSeq(list, ",") {
		item = strings.ToLower(strings.TrimSpace(item))
		switch {
		case item == "":
		case strings.Contains(item, "/"):
			network, err := netip.ParsePrefix(item)
			if err != nil {
				mistakes.Add(fault.New(fault.Invalid, "%q is no network", item).Hint("write an address and a length, such as 10.20.0.0/16"))
				continue
			}
			if network.Addr().Is4In6() {
				mistakes.Add(fault.New(fault.Invalid, "%q is a network of IPv4 inside of IPv6", item).Hint("write it as one of IPv4"))
				continue
			}
			p.Networks = append(p.Networks, network.Masked())
		default:
			if !isHost(item) {
				mistakes.Add(fault.New(fault.Invalid, "%q is no name of a host", item).
					Hint("write names or addresses without scheme, port or path; .example.com means all below it"))
				continue
			}
			p.Hosts = append(p.Hosts, item)
		}
	}
	if len(p.Hosts)+len(p.Networks) > maxAllowed {
		mistakes.Add(fault.New(fault.TooLarge, "more than %d hosts and networks are allowed", maxAllowed))
	}
	return p, mistakes.Err()
}

// isHost tells whether text is a name or an address, without a port.
func isHost(text string) bool {
	if _, err := netip.ParseAddr(text); err == nil {
		return true
	}
	name := strings.TrimPrefix(text, ".")
	return name != "" && len(name) <= 253 && !strings.ContainsFunc(name, func(r rune) bool {
		return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || strings.ContainsRune("-._", r))
	})
}

// AllowsHost tells whether a host was named as allowed.
func (p Policy) AllowsHost(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	return slices.ContainsFunc(p.Hosts, func(h string) bool {
		return h == host || strings.HasPrefix(h, ".") && strings.HasSuffix(host, h)
	})
}

// AllowsPlain tells whether a host may be spoken to without TLS: one that is
// named, or an address in an allowed network.
func (p Policy) AllowsPlain(host string) bool {
	if p.AllowsHost(host) {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && p.allowsNetwork(ip.Unmap())
}

func (p Policy) allowsNetwork(ip netip.Addr) bool {
	return slices.ContainsFunc(p.Networks, func(n netip.Prefix) bool { return n.Contains(ip) })
}

// Check tells whether an address that a host has may be dialled; a Forbidden
// fault if not. The fault does not tell the address: who asks may be looking
// for it.
func (p Policy) Check(host string, ip netip.Addr) error {
	if ip.Zone() != "" {
		ip = ip.WithZone("") // a prefix contains no address of a zone
	}
	ip = ip.Unmap()
	if p.allowsNetwork(ip) {
		return nil
	}
	switch kindOf(ip) {
	case public:
		return nil
	case local:
		if p.AllowsHost(host) {
			return nil
		}
	}
	return refused(host)
}

func refused(host string) error {
	return fault.New(fault.Forbidden, "%q leads to an address that is not public", host).
		Hint("an operator can allow the host, or its network, for this server")
}
