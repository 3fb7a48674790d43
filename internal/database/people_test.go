package database_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/database"
	"holdfast/internal/dev/require"
	"holdfast/internal/session"
)

const hash = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2U"

var birth = time.Date(2026, 3, 4, 5, 6, 7, 89e6, time.UTC)

// record returns a valid person; n makes it unique.
func record(n int) account.Record {
	return account.Record{
		Person: account.Person{
			ID:      fmt.Sprintf("%022d", n),
			Name:    fmt.Sprintf("Person %d", n),
			Email:   fmt.Sprintf("Person%03d@Example.org", n),
			Created: birth,
		},
		EmailKey:     fmt.Sprintf("person%03d@example.org", n),
		PasswordHash: hash,
	}
}

func insert(t *testing.T, store account.Store, records ...account.Record) {
	t.Helper()
	for _, r := range records {
		if err := store.Insert(t.Context(), r); err != nil {
			t.Fatalf("insert %s: %v", r.Email, err)
		}
	}
}

func TestStoreReturnsWhatWasInserted(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database.DB) {
		store := db.People()
		plain, odd := record(1), record(2)
		odd.Name = strings.Repeat("🪸", account.MaxNameRunes)
		odd.Email = `'; DROP TABLE people; --"\%_$1@` + strings.Repeat("é", (account.MaxEmailBytes-31)/2)
		odd.EmailKey = odd.Email
		insert(t, store, plain, odd)
		for _, want := range []account.Record{plain, odd} {
			byID, err := store.ByID(t.Context(), want.ID)
			if err != nil || !reflect.DeepEqual(byID, want) {
				t.Errorf("by id: %+v, %v; want %+v", byID, err, want)
			}
			byKey, err := store.ByEmailKey(t.Context(), want.EmailKey)
			if err != nil || !reflect.DeepEqual(byKey, want) {
				t.Errorf("by e-mail: %+v, %v; want %+v", byKey, err, want)
			}
		}
	})
}

func TestStoreNamesWhoIsNotThere(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database.DB) {
		store := db.People()
		insert(t, store, record(1))
		for name, call := range map[string]func(context.Context) error{
			"ByID":                func(ctx context.Context) error { return failure(store.ByID(ctx, record(2).ID)) },
			"ByEmailKey":          func(ctx context.Context) error { return failure(store.ByEmailKey(ctx, "Person001@Example.org")) },
			"UpdateName":          func(ctx context.Context) error { return failure(store.UpdateName(ctx, record(2).ID, "Ada")) },
			"UpdateDisabled":      func(ctx context.Context) error { return failure(store.UpdateDisabled(ctx, record(2).ID, birth)) },
			"UpdateDisabled off":  func(ctx context.Context) error { return failure(store.UpdateDisabled(ctx, record(2).ID, time.Time{})) },
			"ReplacePasswordHash": func(ctx context.Context) error { return store.ReplacePasswordHash(ctx, record(2).ID, hash, hash) },
			"Close":               func(ctx context.Context) error { return failure(store.Close(ctx, record(2).ID, nil, account.Audit{})) },
		} {
			if err := call(t.Context()); !errors.Is(err, account.ErrNotFound) || errors.Is(err, account.ErrUnavailable) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestStoreChangesOnePersonOnly(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database.DB) {
		store := db.People()
		insert(t, store, record(1), record(2))
		ctx := t.Context()

		want := record(1)
		want.Name = "Ada"
		if got, err := store.UpdateName(ctx, want.ID, "Ada"); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("renamed: %+v, %v", got, err)
		}
		want.Disabled = true
		for _, at := range []time.Time{birth, birth.Add(time.Hour)} {
			if got, err := store.UpdateDisabled(ctx, want.ID, at); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("disabled: %+v, %v", got, err)
			}
		}
		if since := value[int64](t, db, `SELECT disabled_ms FROM people WHERE id = $1`, want.ID); since != birth.UnixMilli() {
			t.Errorf("disabled since %d; want the first time, %d", since, birth.UnixMilli())
		}
		want.Disabled = false
		if got, err := store.UpdateDisabled(ctx, want.ID, time.Time{}); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("enabled: %+v, %v", got, err)
		}
		want.PasswordHash = strings.Replace(hash, "t=2", "t=3", 1)
		if err := store.ReplacePasswordHash(ctx, want.ID, hash, want.PasswordHash); err != nil {
			t.Errorf("replace hash: %v", err)
		}
		// A second replacement of the old hash comes too late.
		if err := store.ReplacePasswordHash(ctx, want.ID, hash, strings.Replace(hash, "t=2", "t=4", 1)); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("replace a hash that is gone: %v", err)
		}
		if got, err := store.ByID(ctx, want.ID); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("afterwards: %+v, %v; want %+v", got, err, want)
		}
		if got, err := store.ByID(ctx, record(2).ID); err != nil || !reflect.DeepEqual(got, record(2)) {
			t.Errorf("the other person: %+v, %v", got, err)
		}
	})
}

func TestStoreDeletesAPersonWithTheirLogInsAndNobodyElse(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database.DB) {
		store, devices := db.People(), db.Devices()
		insert(t, store, record(1), record(2))
		for n := range 4 {
			require.NoError(t, devices.Insert(t.Context(), logIn(1+n%2, n)))
		}
		require.NoError(t, devices.RevokeByKey(t.Context(), []string{logIn(1, 0).SessionKey}, session.RevokedByLogOut))
		_, err := store.Close(t.Context(), record(1).ID, nil, account.Audit{})
		require.NoError(t, err)
		if _, err := store.ByID(t.Context(), record(1).ID); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("the person is still there: %v", err)
		}
		for person, want := range map[string]int{record(1).ID: 0, record(2).ID: 2} {
			if left := value[int](t, db, `SELECT count(*) FROM devices WHERE person_id = $1`, person); left != want {
				t.Errorf("%d log-ins are left of %s; want %d", left, person, want)
			}
		}
		if err := devices.Insert(t.Context(), logIn(1, 9)); !errors.Is(err, session.ErrEnded) {
			t.Errorf("log in afterwards: %v", err)
		}
		if _, err := store.Close(t.Context(), record(1).ID, nil, account.Audit{}); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("deleted twice: %v", err)
		}
		insert(t, store, record(1)) // the address is free again
	})
}

// TestStoreDeletesWhileThePersonLogsIn: whichever comes first, nothing is left.
func TestStoreDeletesWhileThePersonLogsIn(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database.DB) {
		insert(t, db.People(), record(1))
		var all sync.WaitGroup
		for n := range 8 {
			all.Go(func() {
				if err := db.Devices().Insert(t.Context(), logIn(1, n)); err != nil && !errors.Is(err, session.ErrEnded) {
					t.Errorf("log in: %v", err)
				}
			})
		}
		all.Go(func() {
			if _, err := db.People().Close(t.Context(), record(1).ID, nil, account.Audit{}); err != nil {
				t.Errorf("delete: %v", err)
			}
		})
		all.Wait()
		if left := value[int](t, db, `SELECT count(*) FROM devices`); left != 0 {
			t.Errorf("%d log-ins left", left)
		}
	})
}

// logIn returns a device; n makes it unique.
func logIn(person, n int) session.Device {
	return session.Device{
		ID: fmt.Sprintf("log-in-%d", n), PersonID: record(person).ID, SessionKey: fmt.Sprintf("%043d", n),
		UserAgent: "test", Address: "127.0.0.1", CreatedAt: birth, ExpiresAt: birth.Add(time.Hour),
	}
}

func TestStoreLetsTheIndexDecideDuplicates(t *testing.T) {
	sharedOnBoth(t, func(t *testing.T, open func() *database.DB) {
		one, two := open(), open()
		const callers = 40
		var taken, added int
		var all sync.WaitGroup
		var mu sync.Mutex
		for n := range callers {
			db := []*database.DB{one, two}[n%2]
			all.Go(func() {
				r := record(n)
				r.EmailKey = "ada@example.org"
				err := db.People().Insert(t.Context(), r)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					added++
				case errors.Is(err, account.ErrEmailTaken):
					taken++
				default:
					t.Error(err)
				}
			})
		}
		all.Wait()
		if added != 1 || taken != callers-1 {
			t.Errorf("%d added, %d taken of %d", added, taken, callers)
		}
		again := record(callers)
		again.ID = ""
		if err := one.People().Insert(t.Context(), again); err == nil || errors.Is(err, account.ErrEmailTaken) {
			t.Errorf("a person without an id: %v", err)
		}
	})
}

func TestStorePagesInTheByteOrderOfKeys(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database.DB) {
		store := db.People()
		want := []string{"Z@x", "_@x", "a@x", "b-c@x", "b@x", "ba@x", "zz@x", "é@x", "潮@x", "🪸@x"}
		for n, at := range []int{3, 9, 0, 7, 5, 1, 8, 2, 6, 4} {
			r := record(n)
			r.EmailKey = want[at]
			insert(t, store, r)
		}
		for _, limit := range []int{1, 3, 10, 100} {
			var got []string
			after := ""
			for {
				page, err := store.PageByEmailKey(t.Context(), after, limit)
				require.NoError(t, err)
				if len(page) == 0 {
					break
				}
				if len(page) > limit {
					t.Fatalf("%d people in a page of %d", len(page), limit)
				}
				for _, r := range page {
					got = append(got, r.EmailKey)
				}
				after = page[len(page)-1].EmailKey
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("in pages of %d: %q; want %q", limit, got, want)
			}
		}
	})
}

// The database repeats the domain's limits, for writes that bypass the domain.
func TestDatabaseRefusesWhatTheDomainWould(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database.DB) {
		long := strings.Repeat("a", account.MaxEmailBytes)
		for name, spoil := range map[string]func(*account.Record){
			"id too short":        func(r *account.Record) { r.ID = r.ID[1:] },
			"id too long":         func(r *account.Record) { r.ID += "0" },
			"no name":             func(r *account.Record) { r.Name = "" },
			"name too long":       func(r *account.Record) { r.Name = strings.Repeat("é", account.MaxNameRunes+1) },
			"no e-mail":           func(r *account.Record) { r.Email = "" },
			"e-mail too long":     func(r *account.Record) { r.Email = long + "a" },
			"no e-mail key":       func(r *account.Record) { r.EmailKey = "" },
			"e-mail key too long": func(r *account.Record) { r.EmailKey = strings.Repeat("é", account.MaxEmailBytes/2) + "a" },
			"no hash":             func(r *account.Record) { r.PasswordHash = "" },
			"a plain password":    func(r *account.Record) { r.PasswordHash = "correct horse battery staple" },
			"no time":             func(r *account.Record) { r.Created = time.Time{} },
		} {
			r := record(1)
			spoil(&r)
			err := db.People().Insert(t.Context(), r)
			if err == nil || errors.Is(err, account.ErrUnavailable) || errors.Is(err, account.ErrEmailTaken) {
				t.Errorf("%s: %v", name, err)
			}
		}
		insert(t, db.People(), record(1))
		if _, err := db.People().UpdateName(t.Context(), record(1).ID, ""); err == nil {
			t.Error("renamed to nothing")
		}
	})
}

func TestStoreStopsWithItsCaller(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database.DB) {
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		err := db.People().Insert(gone, record(1))
		if !errors.Is(err, context.Canceled) || errors.Is(err, account.ErrUnavailable) {
			t.Errorf("caller gone: %v", err)
		}
		if _, err := db.People().ByID(t.Context(), record(1).ID); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("inserted all the same: %v", err)
		}
	})
}
