package database_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/database"
	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/text"
)

// The databases in this file are set up differently from ours, or are shared with other
// programs.

// TestLoginsAtTheSameTimeSucceedWhateverTheDatabasesDefaultIsolation: with serializable
// transactions some of them were refused.
func TestLoginsAtTheSameTimeSucceedWhateverTheDatabasesDefaultIsolation(t *testing.T) {
	t.Parallel()
	for _, level := range []string{"repeatable read", "serializable"} {
		cfg := testkit.Postgres(t)
		run(t, open(t, cfg), `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = ''`+level+`''', current_database()); END $$`)
		db := open(t, cfg)
		insert(t, db.People(), record(1))
		var all sync.WaitGroup
		for n := range 20 {
			all.Go(func() {
				audit := account.Audit{Events: []account.Event{{ID: text.NewID(), Person: record(1).ID, Kind: account.EventLogIn, At: birth}}}
				if err := db.People().RecordLogin(t.Context(), record(1).Person, text.Hash(fmt.Sprint(n)), birth, audit); err != nil {
					t.Errorf("%s: %v", level, err)
				}
			})
		}
		all.Wait()
	}
}

// TestAColumnThatANewerVersionChangesFailsNoCall: the statements of every connection
// were planned before the change.
func TestAColumnThatANewerVersionChangesFailsNoCall(t *testing.T) {
	t.Parallel()
	cfg := testkit.Postgres(t)
	db := open(t, cfg)
	insert(t, db.People(), record(1))
	read := func() {
		var all sync.WaitGroup
		for range 3 * database.DefaultMaxConns {
			all.Go(func() {
				if _, err := db.People().ByID(t.Context(), record(1).ID); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	read()
	run(t, open(t, cfg), `ALTER TABLE people ALTER COLUMN name TYPE varchar(500)`)
	read()
	run(t, open(t, cfg), `ALTER TABLE people ALTER COLUMN name TYPE text`)
	_, err := db.People().UpdateName(t.Context(), record(1).ID, "Ada")
	require.NoError(t, err)
}

func TestOldRowsAreRemovedHoweverManyThereAreAndWhateverElseFails(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database.DB) {
		insert(t, db.People(), record(1))
		db.SmallPages(3)
		old := time.Now().Add(-2 * database.KeepHistory)
		for n := range 10 {
			audit := account.Audit{Events: []account.Event{{ID: text.NewID(), Person: record(1).ID, Kind: account.EventLogIn, At: old}}}
			require.NoError(t, db.People().Audit(t.Context(), audit))
			run(t, db, fmt.Sprintf(`INSERT INTO throttle (key, tries, next_ms, last_ms) VALUES ('old:%d', 1, 1, 1)`, n))
		}
		run(t, db, `ALTER TABLE links RENAME TO lynx`)
		if err := db.Tidy(t.Context()); err == nil || !strings.Contains(err.Error(), "links") {
			t.Errorf("without the table links: %v", err)
		}
		for _, table := range []string{"history", "throttle"} {
			if n := value[int](t, db, `SELECT count(*) FROM `+table); n > 0 {
				t.Errorf("%d old rows are left of %s", n, table)
			}
		}
	})
}

const anothersVersions = `CREATE TABLE goose_db_version (id integer PRIMARY KEY, version_id bigint, is_applied boolean, tstamp timestamp)`

func anothersVersion(n int64) string {
	return fmt.Sprintf(`INSERT INTO goose_db_version (id, version_id, is_applied) VALUES (%d, %d, true)`, n%1000, n)
}

func TestASchemaIsSharedWithAnotherProgramThatUsesGoose(t *testing.T) {
	onBothEmpty(t, func(t *testing.T, db *database.DB) {
		run(t, db, anothersVersions)
		run(t, db, `CREATE TABLE orders (id integer)`)
		for n := range int64(10) {
			run(t, db, anothersVersion(n))
		}
		run(t, db, anothersVersion(20240101120107))
		migrate(t, db)
		insert(t, db.People(), record(1))
		if versions := value[int](t, db, `SELECT count(*) FROM goose_db_version`); versions != 11 {
			t.Errorf("the other program has %d versions, want 11", versions)
		}
	})
}

func TestATableOfAnotherProgramIsNamedBeforeAnythingIsCreated(t *testing.T) {
	onBothEmpty(t, func(t *testing.T, db *database.DB) {
		run(t, db, `CREATE TABLE sessions (id integer)`)
		if _, err := db.Migrate(t.Context()); err == nil || !strings.Contains(err.Error(), "table sessions exists already and is another program's") {
			t.Errorf("migrated: %v", err)
		}
		run(t, db, `DROP TABLE sessions`)
		migrate(t, db)
	})
}

// TestATableOfAnotherRoleIsNamedToo: a role sees no columns of tables that it may not
// use in the information schema.
func TestATableOfAnotherRoleIsNamedToo(t *testing.T) {
	t.Parallel()
	cfg := emptyPostgres(t)
	owner := open(t, cfg)
	const role = "kelp"
	run(t, owner, `CREATE TABLE sessions (id integer)`)
	run(t, owner, `CREATE ROLE `+role)
	defer func() { run(t, owner, `DROP OWNED BY `+role); run(t, owner, `DROP ROLE `+role) }()
	run(t, owner, `GRANT ALL ON SCHEMA public TO `+role)
	cfg.URL += "?role=" + role
	if _, err := open(t, cfg).Migrate(t.Context()); err == nil || !strings.Contains(err.Error(), "table sessions exists already and is another program's") {
		t.Errorf("migrated: %v", err)
	}
}

// TestTheVersionsOfAnEarlierReleaseAreTakenOver also checks that they stay for that
// release.
func TestTheVersionsOfAnEarlierReleaseAreTakenOver(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database.DB) {
		insert(t, db.People(), record(1))
		run(t, db, `ALTER TABLE holdfast_migrations RENAME TO goose_db_version`)
		run(t, db, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (20240101120107, true)`) // another program's
		migrate(t, db)
		if _, err := db.People().ByID(t.Context(), record(1).ID); err != nil {
			t.Error(err)
		}
		if ahead, err := db.CheckMigrated(t.Context()); ahead || err != nil {
			t.Errorf("ahead %t, %v", ahead, err)
		}
		was, is := value[int](t, db, `SELECT count(*) FROM goose_db_version`), value[int](t, db, `SELECT count(*) FROM holdfast_migrations`)
		if was != is+1 || is < 10 {
			t.Errorf("%d versions were applied, %d are now", was, is)
		}
	})
}
