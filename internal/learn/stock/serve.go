package stock

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Serve serves a site on a free port of the loopback interface, until the server that
// it returns is closed. url is its address.
func Serve(ctx context.Context, site http.Handler) (server *http.Server, url string, err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", fmt.Errorf("start the typical setup: %w", err)
	}
	server = &http.Server{
		Handler:           site,
		ReadHeaderTimeout: time.Second,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	go func() { _ = server.Serve(listener) }() // returns when the server is closed
	return server, "http://" + listener.Addr().String(), nil
}
