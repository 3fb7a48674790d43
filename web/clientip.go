package web

import (
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"
)

// ipExtractor takes the client's address from the connection, or from X-Forwarded-For
// if a trusted proxy added it. Echo's default trusts every client's X-Forwarded-For
// (GHSA-246p), and Echo's parser stops at the first port or empty entry, which some
// proxies add.
func ipExtractor(trusted []netip.Prefix, log *slog.Logger) echo.IPExtractor {
	direct := echo.ExtractIPDirect()
	if len(trusted) == 0 {
		return direct
	}
	var logged sync.Once
	return func(r *http.Request) string {
		address := direct(r)
		entries := strings.Split(strings.Join(r.Header[echo.HeaderXForwardedFor], ","), ",")
		for _, entry := range slices.Backward(entries) {
			ip, _ := netip.ParseAddr(address)
			if !slices.ContainsFunc(trusted, func(network netip.Prefix) bool { return network.Contains(ip.WithZone("")) }) {
				break
			}
			entry = strings.TrimSpace(entry)
			if client, err := parseForwarded(entry); err == nil {
				address = client.String()
			} else if entry != "" {
				logged.Do(func() { log.Warn("entry in X-Forwarded-For is not an IP address and is skipped", "entry", entry) })
			}
		}
		return address
	}
}

// parseForwarded parses one entry of X-Forwarded-For, with or without a port.
func parseForwarded(entry string) (netip.Addr, error) {
	if withPort, err := netip.ParseAddrPort(entry); err == nil {
		return withPort.Addr().Unmap(), nil
	}
	ip, err := netip.ParseAddr(strings.Trim(entry, "[]"))
	return ip.Unmap(), err
}
