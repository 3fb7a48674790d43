// Package testkit has what the tests of several packages share: migrated databases on
// real servers, a clock, a log capture.
//
// It builds on package testservice, which starts the servers and knows nothing about
// this module. Only tests and developer tools import it.
package testkit

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"holdfast/internal/database"
	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testservice"
	"holdfast/internal/product"
)

// Patience limits one call to a store in tests that are not about limits: on a machine
// that runs all tests at the same time, a store is slow, not down.
const Patience = 20 * time.Second

// SQLite returns the settings of a migrated SQLite database in a new folder. The
// migrations run once per test process; each test gets a copy.
func SQLite(t testing.TB) database.Config {
	t.Helper()
	cfg := database.Config{DataDir: t.TempDir(), Timeout: Patience}
	CopySQLite(t, cfg.DataDir)
	return cfg
}

// CopySQLite puts a migrated SQLite database into folder.
func CopySQLite(t testing.TB, folder string) {
	t.Helper()
	migrated, err := migratedSQLite()
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, product.Slug+".db"), migrated, 0o600)
	}
	if err != nil {
		t.Fatalf("testkit: copy a migrated SQLite database: %v", err)
	}
}

var migratedSQLite = sync.OnceValues(func() ([]byte, error) {
	folder, err := os.MkdirTemp("", "migrated-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	if err := migrate(database.Config{DataDir: folder, Timeout: Patience}); err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(folder, product.Slug+".db"))
})

// Postgres returns the settings of a migrated PostgreSQL database on the server
// that the tests of this process share. The migrations run once; each test gets
// a copy.
func Postgres(t testing.TB) database.Config {
	t.Helper()
	server := testservice.FilledPostgres(t, "migrated", func(url string) error {
		return migrate(database.Config{URL: url, Timeout: Patience})
	})
	return database.Config{URL: server.URL, Timeout: Patience}
}

func migrate(cfg database.Config) error {
	ctx := context.Background()
	db, err := database.Open(ctx, cfg)
	if err != nil {
		return err
	}
	_, err = db.Migrate(ctx)
	return errors.Join(err, db.Close())
}

// BothDatabases runs a test on a migrated SQLite and a migrated PostgreSQL
// database.
func BothDatabases(t *testing.T, test func(t *testing.T, cfg database.Config)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) { test(t, SQLite(t)) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, Postgres(t)) })
}

// OpenDatabase opens a migrated database and closes it when the test ends.
func OpenDatabase(t testing.TB, cfg database.Config) *database.DB {
	t.Helper()
	db, err := database.Open(context.Background(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}
