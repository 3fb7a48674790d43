package database_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/database"
	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testservice"
)

// The test binary is also the other process that shares a file: with these set, it
// inserts people from a number on and prints a line for each, until it has inserted the
// given count or is killed.
const (
	childFolder = "DATABASE_TEST_FOLDER"
	childFirst  = "DATABASE_TEST_FIRST"
	childCount  = "DATABASE_TEST_COUNT"
)

func TestMain(m *testing.M) {
	if folder := os.Getenv(childFolder); folder != "" {
		if err := insertMany(folder); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	testservice.Main(m)
}

func insertMany(folder string) error {
	first, err := strconv.Atoi(os.Getenv(childFirst))
	if err != nil {
		return err
	}
	count, err := strconv.Atoi(os.Getenv(childCount))
	if err != nil {
		return err
	}
	db, err := database.Open(context.Background(), database.Config{DataDir: folder, Timeout: testkit.Patience})
	if err != nil {
		return err
	}
	for n := first; n < first+count; n++ {
		if err := db.People().Insert(context.Background(), record(n)); err != nil {
			return err
		}
		fmt.Println(n)
	}
	return db.Close()
}

func child(t *testing.T, folder string, first, count int) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), childFolder+"="+folder, fmt.Sprintf("%s=%d", childFirst, first), fmt.Sprintf("%s=%d", childCount, count))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	return cmd, bufio.NewScanner(out)
}

func TestSQLiteServesTwoProcessesAtOnce(t *testing.T) {
	t.Parallel()
	cfg := testkit.SQLite(t)
	db := open(t, cfg)
	const each = 100
	other, lines := child(t, cfg.DataDir, 1000, each)
	for n := range each {
		insert(t, db.People(), record(n))
	}
	for lines.Scan() {
	}
	if err := other.Wait(); err != nil {
		t.Fatalf("other process: %v", err)
	}
	page, err := db.People().PageByEmailKey(t.Context(), "", 3*each)
	if err != nil || len(page) != 2*each {
		t.Errorf("%d people, %v; want %d", len(page), err, 2*each)
	}
}

func TestSQLiteKeepsWhatItAcknowledgedWhenKilled(t *testing.T) {
	t.Parallel()
	cfg := testkit.SQLite(t)
	first := 0
	for range 3 {
		other, lines := child(t, cfg.DataDir, first, 1_000_000)
		var last int
		for range 20 {
			if !lines.Scan() {
				t.Fatalf("other process ended by itself: %v", lines.Err())
			}
			last, _ = strconv.Atoi(lines.Text())
		}
		require.NoError(t, other.Process.Kill())
		for lines.Scan() {
			last, _ = strconv.Atoi(lines.Text())
		}
		_ = other.Wait() // it was killed
		db := open(t, cfg)
		for n := first; n <= last; n++ {
			if _, err := db.People().ByID(t.Context(), record(n).ID); err != nil {
				t.Errorf("acknowledged person %d: %v", n, err)
			}
		}
		first = last + 2 // the next one may have been written, but not acknowledged
	}
}

func TestSQLiteIsForItsOwnerAlone(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "a", "b")
	db := open(t, database.Config{DataDir: folder, Timeout: testkit.Patience})
	migrate(t, db)
	insert(t, db.People(), record(1))
	if want := "SQLite in " + filepath.Join(folder, "holdfast.db"); db.Name() != want {
		t.Errorf("name %q; want %q", db.Name(), want)
	}
	if db.Pool() != nil {
		t.Error("SQLite has a pool")
	}
	if runtime.GOOS == "windows" {
		t.Skip("Windows keeps no permission bits")
	}
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(files) < 3 {
		t.Fatalf("files %q, %v; want the database and its logs", files, err)
	}
	for path, want := range map[string]os.FileMode{folder: 0o700, filepath.Dir(folder): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
	}
}

func TestSQLiteOpensFoldersOfAnyName(t *testing.T) {
	names := []string{"with space", "per%20cent", "a#b&c=d", "é潮🪸", "plus+plus"}
	if runtime.GOOS != "windows" {
		names = append(names, "what?mode=memory", `back\slash`, "new\nline")
	}
	for _, name := range names {
		folder := filepath.Join(t.TempDir(), name)
		db := open(t, database.Config{DataDir: folder, Timeout: testkit.Patience})
		migrate(t, db)
		if info, err := os.Stat(filepath.Join(folder, "holdfast.db")); err != nil || info.Size() == 0 {
			t.Errorf("%q: the database is not where it should be: %v", name, err)
		}
	}
}

func TestSQLiteIsOpenedAsStated(t *testing.T) {
	db := open(t, database.Config{DataDir: t.TempDir()})
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "1500", "fullfsync": "1", "trusted_schema": "0",
	} {
		if got := value[string](t, db, "PRAGMA "+pragma); got != want {
			t.Errorf("%s is %s; want %s", pragma, got, want)
		}
	}
}

func TestSQLiteLockedByAnotherIsUnavailableInTime(t *testing.T) {
	folder := t.TempDir()
	db, other := open(t, database.Config{DataDir: folder}), open(t, database.Config{DataDir: folder})
	migrate(t, db)
	tx, err := other.SQL().BeginTx(t.Context(), nil) // acquires the write lock immediately
	require.NoError(t, err)
	begun := time.Now()
	if err := db.People().Insert(t.Context(), record(1)); !errors.Is(err, account.ErrUnavailable) || time.Since(begun) > answerLimit() {
		t.Errorf("locked: %v after %s", err, time.Since(begun))
	}
	if _, err := db.People().ByID(t.Context(), record(1).ID); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("reading meanwhile: %v", err)
	}
	require.NoError(t, tx.Rollback())
	insert(t, db.People(), record(1))
}

func TestSQLiteSaysWhyItCannotOpen(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte("kelp"), 0o600))
	if _, err := database.Open(t.Context(), database.Config{DataDir: filepath.Join(file, "below")}); err == nil {
		t.Error("opened a folder below a file")
	}
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "holdfast.db"), []byte("this is not a database, whatever its name says"), 0o600))
	if _, err := database.Open(t.Context(), database.Config{DataDir: folder}); err == nil || errors.Is(err, sql.ErrNoRows) {
		t.Errorf("opened a file that is no database: %v", err)
	}
}
