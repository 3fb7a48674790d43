package database_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"holdfast/internal/account"
	"holdfast/internal/database"
	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/product"
	"holdfast/migrations"
)

// steps returns the file names of one folder of migrations, in order.
func steps(t *testing.T, folder string) []string {
	t.Helper()
	files, err := fs.Glob(migrations.FS, folder+"/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no migrations in %s: %v", folder, err)
	}
	for i, file := range files {
		files[i] = strings.TrimPrefix(file, folder+"/")
	}
	return files
}

func TestBothFoldersHaveTheSameSteps(t *testing.T) {
	if p, s := steps(t, "postgres"), steps(t, "sqlite"); !slices.Equal(p, s) {
		t.Errorf("postgres %q, sqlite %q", p, s)
	}
}

func TestBothDatabasesEndUpWithTheSameTables(t *testing.T) {
	lite := open(t, testkit.SQLite(t))
	post := open(t, testkit.Postgres(t))
	onLite := shape(t, lite, `
SELECT m.name, c.name, CASE c."notnull" WHEN 1 THEN 'NO' ELSE 'YES' END
FROM sqlite_schema m JOIN pragma_table_info(m.name) c
WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'`)
	onPost := shape(t, post, `
SELECT table_name, column_name, is_nullable
FROM information_schema.columns
WHERE table_schema = 'public'`)
	if len(onLite) < 3 || !reflect.DeepEqual(onLite, onPost) {
		t.Errorf("SQLite     %v\nPostgreSQL %v", onLite, onPost)
	}
}

// shape maps each table to its columns, sorted, and whether they may be NULL. It leaves
// out the migrator's own table.
func shape(t *testing.T, db *database.DB, query string) map[string][]string {
	t.Helper()
	rows, err := db.SQL().QueryContext(t.Context(), query)
	require.NoError(t, err)
	defer rows.Close()
	tables := map[string][]string{}
	for rows.Next() {
		var table, column, nullable string
		require.NoError(t, rows.Scan(&table, &column, &nullable))
		if table != "holdfast_migrations" {
			tables[table] = append(tables[table], column+" null "+nullable)
		}
	}
	require.NoError(t, rows.Err())
	for _, columns := range tables {
		slices.Sort(columns)
	}
	return tables
}

func TestManyOpenersMigrateOnce(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		migrateAtOnce(t, emptySQLite(t), steps(t, "sqlite"))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		migrateAtOnce(t, emptyPostgres(t), steps(t, "postgres"))
	})
}

// migrateAtOnce opens one new database with eight handles, migrates it with all of them
// at the same time, and compares what they applied in total.
func migrateAtOnce(t *testing.T, c database.Config, want []string) {
	t.Helper()
	var applied []string
	var mu sync.Mutex
	var all sync.WaitGroup
	begin := make(chan struct{})
	for range 8 {
		all.Go(func() {
			<-begin
			db, err := database.Open(context.Background(), c)
			if err != nil {
				t.Error(err)
				return
			}
			defer db.Close()
			names, err := db.Migrate(context.Background())
			if err != nil {
				t.Error(err)
			}
			// Every opener finds the tables, whichever one created them.
			if _, err := db.People().PageByEmailKey(context.Background(), "", 1); err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			applied = append(applied, names...)
		})
	}
	close(begin)
	all.Wait()
	if !slices.Equal(applied, want) {
		t.Errorf("applied %q; want %q", applied, want)
	}
}

// The lock's name must never change: versions that start side by side share it.
func TestMigrateWaitsForAnother(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		cfg := emptySQLite(t)
		db := open(t, cfg)
		other := flock.New(filepath.Join(cfg.DataDir, "holdfast.db.lock"))
		if locked, err := other.TryLock(); err != nil || !locked {
			t.Fatal(locked, err)
		}
		migrateOnceUnlocked(t, db, other.Unlock)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		db := open(t, emptyPostgres(t))
		other, err := db.SQL().Conn(t.Context())
		require.NoError(t, err)
		key := (fmt.Sprintf("%.8x", product.Slug) + strings.Repeat("0", 16))[:16] // eight letters in hexadecimal
		if _, err := other.ExecContext(t.Context(), `SELECT pg_advisory_lock(x'`+key+`'::bigint)`); err != nil {
			t.Fatal(err)
		}
		// Unlock explicitly: a connection that returns to its pool keeps its locks.
		migrateOnceUnlocked(t, db, func() error {
			_, err := other.ExecContext(t.Context(), `SELECT pg_advisory_unlock_all()`)
			return errors.Join(err, other.Close())
		})
	})
}

func migrateOnceUnlocked(t *testing.T, db *database.DB, unlock func() error) {
	t.Helper()
	impatient, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if applied, err := db.Migrate(impatient); !errors.Is(err, account.ErrUnavailable) || len(applied) != 0 {
		t.Errorf("while another migrates: %q, %v", applied, err)
	}
	require.NoError(t, unlock())
	if applied, err := db.Migrate(t.Context()); err != nil || len(applied) < 3 {
		t.Errorf("after it: %q, %v", applied, err)
	}
	if applied, err := db.Migrate(t.Context()); err != nil || len(applied) != 0 {
		t.Errorf("once more: %q, %v", applied, err)
	}
}
