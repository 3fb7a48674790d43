package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"holdfast/internal/config"
)

// healthcheck fails unless the server with these settings is alive: for containers
// that hold nothing but this program.
func healthcheck(ctx context.Context, cfg config.Config) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	at := fromInside(cfg) + "/healthz"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return fmt.Errorf("request %s: %w", at, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s returned %s", at, response.Status)
	}
	return nil
}

// fromInside is the address of a server with these settings for its own machine,
// without any proxy.
func fromInside(cfg config.Config) string {
	host := cfg.Host
	// As numbers: an empty container has no file that defines localhost.
	switch ip, err := netip.ParseAddr(host); {
	case err == nil && ip.IsUnspecified() && ip.Is6():
		host = "::1"
	case err == nil && ip.IsUnspecified():
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(cfg.Port))
}
