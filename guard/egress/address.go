package egress

import "net/netip"

// kind is what an address is good for.
type kind int

const (
	public kind = iota
	// local addresses are those of this machine and of private networks: a
	// host that an operator names may have one.
	local
	// never are addresses that no name is a reason to dial: link-local ones,
	// where clouds hand out credentials, multicast, and those that carry
	// another address inside of them.
	never
)

// kindOf sorts an address, which is not one of IPv4 mapped into IPv6.
func kindOf(ip netip.Addr) kind {
	if !ip.IsValid() {
		return never
	}
	for _, r := range ranges() {
		if r.network.Contains(ip) {
			return r.kind
		}
	}
	if ip.Is6() && !globalUnicast.Contains(ip) {
		return never
	}
	return public
}

// globalUnicast is all that is given out of IPv6.
var globalUnicast = netip.MustParsePrefix("2000::/3")

type addressRange struct {
	network netip.Prefix
	kind    kind
}

// ranges are the networks that are not public. The first that contains an
// address counts.
func ranges() []addressRange { return specialRanges }

var specialRanges = []addressRange{
	// Services of clouds to their machines, which give away credentials.
	{netip.MustParsePrefix("169.254.0.0/16"), never},
	{netip.MustParsePrefix("100.100.100.200/32"), never},
	{netip.MustParsePrefix("168.63.129.16/32"), never},
	{netip.MustParsePrefix("192.0.0.0/24"), never},
	{netip.MustParsePrefix("fd00:ec2::/32"), never},
	{netip.MustParsePrefix("fd20:ce::/32"), never},

	{netip.MustParsePrefix("127.0.0.0/8"), local},
	{netip.MustParsePrefix("10.0.0.0/8"), local},
	{netip.MustParsePrefix("172.16.0.0/12"), local},
	{netip.MustParsePrefix("192.168.0.0/16"), local},
	{netip.MustParsePrefix("100.64.0.0/10"), local}, // between a provider and its customers
	{netip.MustParsePrefix("::1/128"), local},
	{netip.MustParsePrefix("fc00::/7"), local},

	{netip.MustParsePrefix("0.0.0.0/8"), never}, // many systems take it for this machine
	{netip.MustParsePrefix("192.0.2.0/24"), never},
	{netip.MustParsePrefix("192.88.99.0/24"), never},
	{netip.MustParsePrefix("198.18.0.0/15"), never},
	{netip.MustParsePrefix("198.51.100.0/24"), never},
	{netip.MustParsePrefix("203.0.113.0/24"), never},
	{netip.MustParsePrefix("224.0.0.0/4"), never},
	{netip.MustParsePrefix("240.0.0.0/4"), never},

	// Inside of the global range, but translated to IPv4 or tunnelled, or for
	// protocols and books.
	{netip.MustParsePrefix("2001::/23"), never},
	{netip.MustParsePrefix("2001:db8::/32"), never},
	{netip.MustParsePrefix("2002::/16"), never},
	{netip.MustParsePrefix("3fff::/20"), never},
}
