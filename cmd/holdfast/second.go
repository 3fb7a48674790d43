package main

import (
	"fmt"
	"net/url"
	"os"
	"time"

	"holdfast/internal/config"
	"holdfast/internal/learn/launch"
	secondserver "holdfast/internal/learn/second"
)

// secondLife is how long a second server lives that was started from a page.
const secondLife = 5 * time.Minute

// newSecond is the server that /why starts beside this one.
func newSecond(cfg config.Config, base *url.URL) (*secondserver.Server, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	// What libraries read of the environment themselves, and no setting names.
	inherited := launch.Inherit("TMPDIR", "TMP", "TEMP", "HOME", "USERPROFILE", "APPDATA", "SystemRoot", "SSL_CERT_FILE", "SSL_CERT_DIR",
		"PGPASSFILE", "PGPASSWORD", "PGSERVICEFILE", "PGSSLMODE", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY")
	return secondserver.New(secondserver.Options{
		Executable: program,
		Settings:   append(inherited, cfg.Environ()...),
		Host:       cfg.Host,
		Base:       base,
		Life:       secondLife,
	}), nil
}
