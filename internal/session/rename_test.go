package session_test

import (
	"context"
	"fmt"
	"testing"

	"holdfast/internal/dev/require"
	"holdfast/internal/session"
)

// rename gives Ada another name.
func (w *world) rename(m *session.Manager, name string) {
	w.t.Helper()
	_, err := w.db.People().UpdateName(context.Background(), w.ada.ID, name)
	require.NoError(w.t, err)
	require.NoError(w.t, m.Rename(context.Background(), w.ada.ID, name))
}

// TestARenameReachesEveryLogInInFlight repeatedly renames a person while they log in.
// No session may keep an older name.
func TestARenameReachesEveryLogInInFlight(t *testing.T) {
	const renames, logIns = 40, 4
	ctx := context.Background()
	onEach(t, map[string]func(*world){"SQLite": onRedis, "PostgreSQL": onRedisAndPostgres}, func(t *testing.T, w *world) {
		managers := []*session.Manager{w.open(), w.open()}
		for n := range renames {
			name := fmt.Sprintf("Ada %d", n)
			browsers := make([]*browser, logIns)
			inParallel(logIns+1, func(i int) {
				if i < logIns {
					browsers[i] = w.browser(managers[i%2])
					person, err := w.db.People().ByID(ctx, w.ada.ID)
					if err != nil {
						t.Error(err)
						return
					}
					if err := browsers[i].try(func(s *session.Session) error {
						s.PrepareLogIn(session.Member{ID: person.ID, Name: person.Name}, laptop)
						return nil
					}); err != nil {
						t.Error(err)
					}
					return
				}
				if _, err := w.db.People().UpdateName(ctx, w.ada.ID, name); err != nil {
					t.Error(err)
				}
				if err := managers[n%2].Rename(ctx, w.ada.ID, name); err != nil {
					t.Error(err)
				}
			})
			for i, b := range browsers {
				if who := b.who(); who != name {
					t.Errorf("rename %d: log-in %d is greeted as %q", n, i, who)
				}
			}
			if _, err := managers[0].RevokeAllOf(ctx, w.ada.ID, session.RevokedByOperator); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestOfRenamesAtOnceEverySessionHasTheLast checks that after concurrent renames every
// session has the name that the database has.
func TestOfRenamesAtOnceEverySessionHasTheLast(t *testing.T) {
	const rounds, sessions, renames = 60, 6, 3
	ctx := context.Background()
	w := parallelOn(t, onRedisAndPostgres)
	managers := []*session.Manager{w.open(), w.open()}
	browsers := make([]*browser, sessions)
	for i := range browsers {
		browsers[i] = w.browser(managers[i%2]).logIn(w.ada)
	}
	for round := range rounds {
		inParallel(renames, func(i int) {
			name := fmt.Sprintf("Ada %d.%d", round, i)
			_, err := w.db.People().UpdateName(ctx, w.ada.ID, name)
			if err == nil {
				err = managers[i%2].Rename(ctx, w.ada.ID, name)
			}
			if err != nil {
				t.Error(err)
			}
		})
		person, err := w.db.People().ByID(ctx, w.ada.ID)
		require.NoError(t, err)
		for i, b := range browsers {
			if who := b.who(); who != person.Name {
				t.Errorf("round %d: session %d is greeted as %q, and the name is %q", round, i, who, person.Name)
			}
		}
	}
}

// TestANameStoredMeanwhileIsNotOverwritten renames a person after a login has read the
// name and before it writes its record for the second time.
func TestANameStoredMeanwhileIsNotOverwritten(t *testing.T) {
	w := parallelOn(t, onRedis)
	devices := &renamedTwice{DeviceStore: w.cfg.Devices}
	m := w.open(func(cfg *config) { cfg.Devices = devices })
	devices.before, devices.after = func() { w.rename(m, "Second") }, func() { w.rename(m, "Third") }
	b := w.browser(m).logIn(w.ada)
	b.wantWho("Third")
}

// renamedTwice is a DeviceStore that calls before and after around each Confirm.
type renamedTwice struct {
	session.DeviceStore
	before, after func()
}

func (r *renamedTwice) Confirm(ctx context.Context, id string) (string, error) {
	r.before()
	name, err := r.DeviceStore.Confirm(ctx, id)
	r.after()
	return name, err
}
