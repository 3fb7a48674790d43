package database_test

import (
	"testing"

	"holdfast/internal/database"
	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testservice"
)

// onBoth runs a test on SQLite and on PostgreSQL. Every handle that open returns uses
// the same migrated database. Calls have enough time to queue on a busy machine: these
// tests check what calls do, not how fast.
func onBoth(t *testing.T, test func(t *testing.T, open func() *database.DB)) {
	t.Helper()
	t.Parallel()
	testkit.BothDatabases(t, func(t *testing.T, cfg database.Config) {
		test(t, func() *database.DB { return open(t, cfg) })
	})
}

func open(t *testing.T, c database.Config) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), c)
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}

func emptySQLite(t *testing.T) database.Config {
	return database.Config{DataDir: t.TempDir(), Timeout: testkit.Patience}
}

func emptyPostgres(t *testing.T) database.Config {
	t.Helper()
	return database.Config{URL: testservice.Postgres(t).URL, Timeout: testkit.Patience}
}

func migrate(t *testing.T, db *database.DB) {
	t.Helper()
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
}
