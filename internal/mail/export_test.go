package mail

import (
	"context"
	"net"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// GiveUpAfter has a way wait for its server no longer than a test does.
func (s *SMTP) GiveUpAfter(limit time.Duration) { s.timeout = limit }

// DialAt has a way find its server, whatever its name, at an address.
func (s *SMTP) DialAt(address string) {
	s.options = append(s.options, gomail.WithDialContextFunc(func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}))
}
