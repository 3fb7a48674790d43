package database_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/internal/database"
	"holdfast/internal/learn/trace"
	"holdfast/internal/session"
)

// watched runs do as a request that somebody watches, and returns each
// statement and the function that sent it.
func watched(t *testing.T, do func(ctx context.Context) error) (statements, from []string) {
	t.Helper()
	rec := trace.New(true)
	if err := do(trace.With(t.Context(), rec)); err != nil {
		t.Fatal(err)
	}
	for _, step := range rec.Attempt() {
		statement := step.What.(trace.Statement)
		if step.Took <= 0 || statement.Cause != "" {
			t.Errorf("a step without time or with a failure: %+v", step)
		}
		statements = append(statements, strings.Join(strings.Fields(statement.Text), " "))
		from = append(from, step.Source().File+" "+step.Source().Function)
	}
	return statements, from
}

func TestEveryStatementOfAWatchedRequestIsNoted(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *database.DB) {
		db := open()
		person, now := record(1), time.Now()
		insert(t, db.People(), person)
		entry := session.Device{
			ID: "entry", PersonID: person.ID, SessionKey: strings.Repeat("k", 43), UserAgent: "browser", Address: "192.0.2.1",
			CreatedAt: now, ExpiresAt: now.Add(time.Hour),
		}
		for _, c := range []struct {
			do   func(ctx context.Context) error
			want []string // how each statement begins
			from string
		}{
			{func(ctx context.Context) error { _, err := db.People().UpdateName(ctx, person.ID, "Ada"); return err }, []string{"UPDATE people"}, "internal/database/people.go people.change"},
			{func(ctx context.Context) error { _, err := db.People().ByID(ctx, person.ID); return err }, []string{"SELECT id, name"}, "internal/database/people.go people.one"},
			{func(ctx context.Context) error { _, err := db.People().PageByEmailKey(ctx, "", 5); return err }, []string{"SELECT id, name"}, "internal/database/people.go people.PageByEmailKey"},
			{func(ctx context.Context) error { return db.Devices().Insert(ctx, entry) }, []string{"BEGIN", "UPDATE people", "INSERT INTO devices", "COMMIT"}, "internal/database/devices.go devices.Insert"},
			{func(ctx context.Context) error {
				return db.Devices().EndByKey(ctx, []string{"entry"}, session.EndedByOwner)
			}, []string{"UPDATE devices"}, "internal/database/devices.go devices.exec"},
		} {
			statements, from := watched(t, c.do)
			if len(statements) != len(c.want) {
				t.Errorf("%q, want %q", statements, c.want)
				continue
			}
			for i, statement := range statements {
				if !strings.HasPrefix(statement, c.want[i]) || from[i] != c.from {
					t.Errorf("%q from %s, want %q from %s", statement, from[i], c.want[i], c.from)
				}
			}
			for _, argument := range []string{person.ID, person.Name, person.EmailKey, person.PasswordHash, entry.SessionKey, entry.Address} {
				if slices.ContainsFunc(statements, func(s string) bool { return strings.Contains(s, argument) }) {
					t.Errorf("%q stands in %q", argument, statements)
				}
			}
		}
	})
}

func TestAStatementThatFailsIsNotedWithItsCause(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *database.DB) {
		db := open()
		insert(t, db.People(), record(1))
		same := record(2)
		same.ID = record(1).ID
		rec := trace.New(true)
		if err := db.People().Insert(trace.With(t.Context(), rec), same); err == nil {
			t.Fatal("two people with one id")
		}
		steps := rec.Attempt()
		if len(steps) != 2 || steps[1].What.(trace.Statement).Cause == "" { // after BEGIN
			t.Errorf("noted: %s", fmt.Sprint(steps))
		}
	})
}
