package database_test

import (
	"testing"

	"holdfast/internal/database"
	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testservice"
)

// onBoth runs a test on a migrated database in SQLite and one in PostgreSQL. Calls have
// enough time to queue on a busy machine: these tests check what calls do, not how fast.
func onBoth(t *testing.T, test func(t *testing.T, db *database.DB)) {
	t.Helper()
	sharedOnBoth(t, func(t *testing.T, open func() *database.DB) { test(t, open()) })
}

// sharedOnBoth is onBoth for a database that several handles share. Every call of open
// returns another one.
func sharedOnBoth(t *testing.T, test func(t *testing.T, open func() *database.DB)) {
	t.Helper()
	t.Parallel()
	testkit.BothDatabases(t, func(t *testing.T, cfg database.Config) {
		test(t, func() *database.DB { return open(t, cfg) })
	})
}

// onBothEmpty is onBoth for databases that are not migrated.
func onBothEmpty(t *testing.T, test func(t *testing.T, db *database.DB)) {
	t.Helper()
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) { test(t, open(t, emptySQLite(t))) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, open(t, emptyPostgres(t))) })
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
	_, err := db.Migrate(t.Context())
	require.NoError(t, err)
}

// run sends a statement past the stores.
func run(t *testing.T, db *database.DB, statement string, args ...any) {
	t.Helper()
	if _, err := db.SQL().ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// value returns the only value that a query finds.
func value[T any](t *testing.T, db *database.DB, query string, args ...any) (found T) {
	t.Helper()
	require.NoError(t, db.SQL().QueryRowContext(t.Context(), query, args...).Scan(&found))
	return found
}
