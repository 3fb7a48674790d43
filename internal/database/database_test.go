package database_test

import (
	"context"
	"testing"
	"time"

	"holdfast/internal/database"
	"holdfast/internal/dev/testservice"
)

const patience = 20 * time.Second

// onBoth runs a test on SQLite and on PostgreSQL. Every handle that open
// returns leads to the same database, which is empty at first. Calls have time
// enough to queue on a busy machine; what they do is tested here, not how fast.
func onBoth(t *testing.T, test func(t *testing.T, open func() *database.DB)) {
	t.Run("SQLite", func(t *testing.T) {
		folder := t.TempDir()
		test(t, func() *database.DB { return open(t, database.Config{DataDir: folder, Timeout: patience}) })
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		server := testservice.Postgres(t)
		test(t, func() *database.DB { return open(t, database.Config{URL: server.URL, Timeout: patience}) })
	})
}

func open(t *testing.T, c database.Config) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}

func migrate(t *testing.T, db *database.DB) {
	t.Helper()
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// soon asks until ask returns nil, and fails the test after the limit.
func soon(t *testing.T, limit time.Duration, ask func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for {
		err := ask(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("still failing after %s: %v", limit, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
