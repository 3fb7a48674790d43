package database_test

import (
	"database/sql"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"holdfast/internal/account"
	"holdfast/internal/database"
	"holdfast/internal/dev/require"
	"holdfast/migrations"
)

// firstSteps returns the migrations up to last, as an earlier version had them.
func firstSteps(t *testing.T, folder, last string) fs.FS {
	t.Helper()
	first := fstest.MapFS{}
	for _, name := range steps(t, folder) {
		if name > last {
			break
		}
		source, err := fs.ReadFile(migrations.FS, folder+"/"+name)
		require.NoError(t, err)
		first[name] = &fstest.MapFile{Data: source}
	}
	return first
}

// goUpTo applies the migrations up to last with goose, as an earlier version did.
func goUpTo(t *testing.T, db *database.DB, last string) {
	t.Helper()
	handle, dialect, folder := db.SQL(), goose.DialectSQLite3, "sqlite"
	if db.Pool() != nil {
		handle, dialect, folder = stdlib.OpenDBFromPool(db.Pool()), goose.DialectPostgres, "postgres"
	}
	before, err := goose.NewProvider(dialect, handle, firstSteps(t, folder, last))
	require.NoError(t, err)
	_, err = before.Up(t.Context())
	require.NoError(t, err)
}

// A database that version 5 created, with people and their devices in it, keeps all of
// them and accepts what the current version allows.
func TestADatabaseWithPeopleInItGoesForward(t *testing.T) {
	onBothEmpty(t, goForward)
}

func goForward(t *testing.T, db *database.DB) {
	goUpTo(t, db, "00005_confirmed_devices.sql")
	for n := range 3 {
		r := record(n)
		run(t, db, `
INSERT INTO people (id, name, email, email_key, password_hash, created_ms, disabled_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7)`, r.ID, r.Name, r.Email, r.EmailKey, r.PasswordHash, r.Created.UnixMilli(), sql.NullInt64{Int64: 7, Valid: n == 2})
		run(t, db, `
INSERT INTO devices (id, person_id, session_key, user_agent, address, remembered, created_ms, deadline_ms)
VALUES ($1, $2, $3, 'Firefox', '192.0.2.1', $4, 1, 2)`, r.ID, r.ID, strings.Repeat("k", 42)+r.ID[21:], n == 1)
	}
	applied, err := db.Migrate(t.Context())
	if err != nil || len(applied) != len(steps(t, "sqlite"))-5 {
		t.Fatalf("applied %q, %v", applied, err)
	}
	people := db.People()
	for n := range 3 {
		want := record(n)
		want.Disabled = n == 2
		if got, err := people.ByID(t.Context(), want.ID); err != nil || got != want {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
	if devices := value[int](t, db, `SELECT count(*) FROM devices d JOIN people p ON p.id = d.person_id`); devices != 3 {
		t.Errorf("%d devices with a person", devices)
	}
	if _, err := db.SQL().ExecContext(t.Context(), `DELETE FROM people WHERE id = $1`, record(0).ID); err == nil {
		t.Error("devices no longer hold their person")
	}
	if _, err := people.UpdateName(t.Context(), record(1).ID, strings.Repeat("é", account.MaxNameRunes)); err != nil {
		t.Errorf("a name of %d letters: %v", account.MaxNameRunes, err)
	}
	// A row as an older version running beside this one still writes it.
	r := record(9)
	run(t, db, `
INSERT INTO people (id, name, email, email_key, password_hash, created_ms)
VALUES ($1, $2, $3, $4, $5, $6)`, r.ID, r.Name, r.Email, r.EmailKey, r.PasswordHash, r.Created.UnixMilli())
}

// TestAWayBackOfBeforeKeepsItsAddress: undo links and emails that an earlier version
// wrote, without the key of their address, reserve it as those of this version do.
func TestAWayBackOfBeforeKeepsItsAddress(t *testing.T) {
	onBothEmpty(t, waysBackOfBefore)
}

func waysBackOfBefore(t *testing.T, db *database.DB) {
	goUpTo(t, db, "00006_accounts.sql")
	owner, linked, mailed := record(1), record(2), record(3)
	expires := birth.Add(account.UndoLife)
	run(t, db, `
INSERT INTO people (id, name, email, email_key, password_hash, created_ms)
VALUES ($1, $2, $3, $4, $5, 1)`, owner.ID, owner.Name, owner.Email, owner.EmailKey, owner.PasswordHash)
	run(t, db, `
INSERT INTO links (hash, purpose, person_id, detail, created_ms, expires_ms)
VALUES ($1, 'undo', $2, $3, 1, $4)`, strings.Repeat("l", 43), owner.ID, strings.ToUpper(linked.Email), expires.UnixMilli())
	run(t, db, `
INSERT INTO outbox (id, kind, about, recipient, facts, created_ms, turn_ms)
VALUES ('email', 'changed', $1, $2, '{}', 1, 1)`, owner.ID, strings.ToUpper(mailed.Email))
	migrate(t, db)
	for _, kept := range []account.Record{linked, mailed} {
		if err := db.People().Insert(t.Context(), kept); !errors.Is(err, account.ErrEmailTaken) {
			t.Errorf("%s: %v", kept.Email, err)
		}
		if r, address, err := db.People().ByFormerEmailKey(t.Context(), kept.EmailKey, birth); err != nil || r.ID != owner.ID || address != strings.ToUpper(kept.Email) {
			t.Errorf("%s is kept for %+v, %q, %v", kept.Email, r, address, err)
		}
	}
	linked.Created = expires
	if err := db.People().Insert(t.Context(), linked); err != nil {
		t.Errorf("when the way back is over: %v", err)
	}
}

// TestOneMailboxOfBeforeIsOneAccountInEitherSpelling: earlier versions kept a domain
// outside ASCII as it was typed. Two accounts for one mailbox stay two.
func TestOneMailboxOfBeforeIsOneAccountInEitherSpelling(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database.DB) {
		ada, bea, rival := record(1), record(2), record(3)
		ada.EmailKey, bea.EmailKey, rival.EmailKey = "ada@bücher.example", "bea@bücher.example", "bea@xn--bcher-kva.example"
		insert(t, db.People(), ada, bea, rival)
		for _, row := range []string{
			`INSERT INTO links (hash, purpose, person_id, detail, email_key, created_ms, expires_ms) VALUES ($1, 'undo', $2, 'cyd@bücher.example', 'cyd@bücher.example', 1, 9000000000000)`,
			`INSERT INTO outbox (id, kind, about, recipient, email_key, facts, created_ms, turn_ms) VALUES ($1, 'changed', $2, 'dan@bücher.example', 'dan@bücher.example', '{}', 1, 1)`,
			`INSERT INTO outbox (id, kind, about, recipient, email_key, facts, created_ms, turn_ms) VALUES ('r' || $1, 'reset', $2, 'ada@bücher.example', 'ada@bücher.example', '{}', 1, 1)`,
		} {
			run(t, db, row, strings.Repeat("h", 43), ada.ID)
		}
		accounts := account.New(account.Config{Store: db.People()})
		found := func(want account.Record, spellings ...string) {
			t.Helper()
			for _, email := range spellings {
				if got, err := accounts.FindByEmail(t.Context(), email); err != nil || got.ID != want.ID {
					t.Errorf("%s is %+v, %v; want %s", email, got, err, want.ID)
				}
			}
		}
		for range 2 {
			migrate(t, db)
			found(ada, "ada@bücher.example", "ADA@BÜCHER.example", "ada@xn--bcher-kva.example")
			found(bea, "bea@bücher.example")
			found(rival, "bea@xn--bcher-kva.example")
			for _, name := range []string{"cyd", "dan"} {
				taken := record(4)
				taken.EmailKey = name + "@xn--bcher-kva.example"
				if err := db.People().Insert(t.Context(), taken); !errors.Is(err, account.ErrEmailTaken) {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		if reset := value[string](t, db, `SELECT recipient FROM outbox WHERE kind = 'reset'`); reset != "ada@xn--bcher-kva.example" {
			t.Errorf("a reset waits for %q", reset)
		}
		_, err := db.People().Close(t.Context(), rival.ID, nil, account.Audit{})
		require.NoError(t, err)
		migrate(t, db)
		found(bea, "bea@bücher.example", "bea@xn--bcher-kva.example")
	})
}
