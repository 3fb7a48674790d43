package database_test

import (
	"context"
	"path"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/internal/database"
	"holdfast/internal/dev/require"
	"holdfast/internal/session"
)

// watched runs do with a trace, and returns each statement and the function that
// sent it.
func watched(t *testing.T, do func(ctx context.Context) error) (statements, from []string) {
	t.Helper()
	err := do(database.WithTrace(t.Context(), &database.Trace{Ran: func(s database.Statement) {
		if s.Began.IsZero() || s.Err != nil {
			t.Errorf("a statement without time or with a failure: %+v", s)
		}
		statements = append(statements, strings.Join(strings.Fields(s.Text), " "))
		from = append(from, asked())
	}}))
	require.NoError(t, err)
	return statements, from
}

// asked returns the function of the package that led to the statement being reported:
// the outermost one on the stack.
func asked() (name string) {
	var pcs [50]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs[:])])
	for more := true; more; {
		var frame runtime.Frame
		frame, more = frames.Next()
		if function, ok := strings.CutPrefix(path.Base(frame.Function), "database."); ok {
			name = path.Base(frame.File) + " " + function
		}
	}
	return name
}

func TestEveryStatementOfATracedCallIsReported(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database.DB) {
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
			{func(ctx context.Context) error { _, err := db.People().UpdateName(ctx, person.ID, "Ada"); return err }, []string{"UPDATE people"}, "people.go people.UpdateName"},
			{func(ctx context.Context) error { _, err := db.People().ByID(ctx, person.ID); return err }, []string{"SELECT id, name"}, "people.go people.ByID"},
			{func(ctx context.Context) error { _, err := db.People().PageByEmailKey(ctx, "", 5); return err }, []string{"SELECT id, name"}, "people.go people.PageByEmailKey"},
			{func(ctx context.Context) error { return db.Devices().Insert(ctx, entry) }, []string{"BEGIN", "UPDATE people", "INSERT INTO devices", "COMMIT"}, "devices.go devices.Insert"},
			{func(ctx context.Context) error {
				return db.Devices().RevokeByKey(ctx, []string{"entry"}, session.RevokedByOwner)
			}, []string{"UPDATE devices"}, "devices.go devices.RevokeByKey"},
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

func TestAStatementThatFailsIsReportedWithItsError(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database.DB) {
		insert(t, db.People(), record(1))
		same := record(2)
		same.ID = record(1).ID
		var ran []database.Statement
		ctx := database.WithTrace(t.Context(), &database.Trace{Ran: func(s database.Statement) { ran = append(ran, s) }})
		if err := db.People().Insert(ctx, same); err == nil {
			t.Fatal("two people with one id")
		}
		if len(ran) != 2 || ran[1].Err == nil { // after BEGIN
			t.Errorf("reported: %+v", ran)
		}
	})
}
