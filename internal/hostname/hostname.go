// Package hostname owns what the name of a host says about where the host is.
// It must not know who asks: it resolves nothing.
package hostname

import (
	"net/netip"
	"strings"
)

// IsLoopback reports whether a name or an IP address always means the machine it
// is used on: localhost and all names below it (RFC 6761, section 6.3), and the
// loopback addresses.
func IsLoopback(name string) bool {
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.Unmap().IsLoopback()
}
