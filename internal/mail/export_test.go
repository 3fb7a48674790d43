package mail

import (
	"context"
	"net"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// GiveUpAfter sets how long the transport waits for its server.
func (s *SMTP) GiveUpAfter(limit time.Duration) {
	s.options = append(s.options, gomail.WithTimeout(limit))
}

// DialAt makes the transport connect to address, whatever its server's name.
func (s *SMTP) DialAt(address string) {
	s.options = append(s.options, gomail.WithDialContextFunc(func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}))
}
