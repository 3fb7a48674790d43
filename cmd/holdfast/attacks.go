package main

import (
	"log/slog"
	"net/url"

	"holdfast/internal/account"
	"holdfast/internal/config"
	"holdfast/internal/learn/attack"
)

// newAttacks is what the lab attacks this server with: over HTTP, as anybody
// else reaches it.
func newAttacks(cfg config.Config, base *url.URL, accounts *account.Service, sessions *sessions, log *slog.Logger) *attack.Runner {
	return attack.New(attack.Config{
		Server:   fromInside(cfg),
		Host:     base.Host,
		Accounts: accounts,
		Sessions: sessions.Manager,
		Store:    sessions.store,
		Unslowed: cfg.Throttle == "off",
		Log:      log,
	})
}
