package database_test

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/database"
	"holdfast/internal/mail"
	"holdfast/internal/session"
	"holdfast/internal/throttle"
)

// failure returns the error of a call that returns a value, too.
func failure[T any](_ T, err error) error { return err }

// calls returns every call to the database, by store and method. A word after a space
// names a variant.
func calls(db *database.DB) map[string]func(context.Context) error {
	store, devices, outbox, tries, revocations, id := db.People(), db.Devices(), db.Outbox(), db.Tries(), db.Revocations(), record(1).ID
	link := account.Link{Hash: strings.Repeat("l", 43), Purpose: account.PurposeReset, Person: id, Detail: record(1).Email, Created: birth, Expires: birth.Add(time.Hour)}
	event := account.Event{ID: strings.Repeat("e", 26), Person: id, Kind: account.EventLogIn, At: birth}
	email := account.Email{ID: strings.Repeat("m", 26), Kind: account.EmailReset, Person: id, To: record(1).Email, Created: birth}
	notes := account.Audit{Events: []account.Event{event}, Emails: []account.Email{email}}
	tell := func(account.Record) account.Audit { return notes }
	try := throttle.State{Tries: 1, Next: birth, Last: birth}
	device, browser := deviceOf(id, 1), strings.Repeat("b", 43)
	return map[string]func(context.Context) error{
		"DB.Ping":        db.Ping,
		"DB.Migrate":     func(ctx context.Context) error { return failure(db.Migrate(ctx)) },
		"DB.LatestStart": func(ctx context.Context) error { return failure(db.LatestStart(ctx)) },
		"DB.RecordStart": func(ctx context.Context) error { return failure(db.RecordStart(ctx, database.Start{At: birth})) },
		"DB.StartOf":     func(ctx context.Context) error { return failure(db.StartOf(ctx, 1)) },
		"DB.Tidy":        db.Tidy,

		"DB.Position":         func(ctx context.Context) error { return failure(db.Position(ctx)) },
		"DB.AdvancePosition":  func(ctx context.Context) error { return failure(db.AdvancePosition(ctx, database.Position{})) },
		"DB.ClaimReconciling": func(ctx context.Context) error { return failure(db.ClaimReconciling(ctx, time.Minute)) },

		"DB.CheckMigrated": func(ctx context.Context) error { return failure(db.CheckMigrated(ctx)) },
		"DB.RecordSessionStore": func(ctx context.Context) error {
			return db.RecordSessionStore(ctx, database.SessionStore{Kind: "kind"})
		},
		"DB.ReplaceSessionStore": func(ctx context.Context) error {
			return db.ReplaceSessionStore(ctx, database.SessionStore{Kind: "kind"}, database.SessionStore{Kind: "other"})
		},
		"DB.RecordedSessionStore": func(ctx context.Context) error { _, _, err := db.RecordedSessionStore(ctx); return err },

		"People.Insert":     func(ctx context.Context) error { return store.Insert(ctx, record(2)) },
		"People.ByID":       func(ctx context.Context) error { return failure(store.ByID(ctx, id)) },
		"People.ByEmailKey": func(ctx context.Context) error { return failure(store.ByEmailKey(ctx, record(1).EmailKey)) },
		"People.ByFormerEmailKey": func(ctx context.Context) error {
			_, _, err := store.ByFormerEmailKey(ctx, record(1).EmailKey, birth)
			return err
		},
		"People.UpdateName":          func(ctx context.Context) error { return failure(store.UpdateName(ctx, id, "Ada")) },
		"People.UpdateDisabled":      func(ctx context.Context) error { return failure(store.UpdateDisabled(ctx, id, birth)) },
		"People.UpdateDisabled off":  func(ctx context.Context) error { return failure(store.UpdateDisabled(ctx, id, time.Time{})) },
		"People.ReplacePasswordHash": func(ctx context.Context) error { return store.ReplacePasswordHash(ctx, id, hash, hash) },
		"People.PageByEmailKey":      func(ctx context.Context) error { return failure(store.PageByEmailKey(ctx, "", 10)) },
		"People.SignUp":              func(ctx context.Context) error { return failure(store.SignUp(ctx, record(3), notes, true, false)) },
		"People.Audit":               func(ctx context.Context) error { return store.Audit(ctx, notes) },
		"People.AuditByEmail":        func(ctx context.Context) error { return store.AuditByEmail(ctx, record(1).EmailKey, event) },
		"People.KnownBrowser": func(ctx context.Context) error {
			return failure(store.KnownBrowser(ctx, record(1).EmailKey, []string{browser}))
		},
		"People.RecordLogin": func(ctx context.Context) error {
			return store.RecordLogin(ctx, account.Person{ID: id}, browser, birth, notes)
		},
		"People.SetPassword": func(ctx context.Context) error {
			return failure(store.SetPassword(ctx, account.NewPassword{Person: id, Hash: hash, Old: hash, At: birth}, notes))
		},
		"People.SetPassword by link": func(ctx context.Context) error {
			return failure(store.SetPassword(ctx, account.NewPassword{Person: id, Hash: hash, Link: &link, At: birth}, notes))
		},
		"People.InsertLink": func(ctx context.Context) error { return store.InsertLink(ctx, link) },
		"People.FindLink":   func(ctx context.Context) error { return failure(store.FindLink(ctx, link.Hash, birth)) },
		"People.LinkDone":   func(ctx context.Context) error { return failure(store.LinkDone(ctx, link.Hash)) },
		"People.AskEmail":   func(ctx context.Context) error { return store.AskEmail(ctx, id, record(4).EmailKey, birth, notes) },
		"People.ConfirmEmail": func(ctx context.Context) error {
			return failure(store.ConfirmEmail(ctx, link, record(1).EmailKey, birth, notes))
		},
		"People.MoveEmail": func(ctx context.Context) error {
			return failure(store.MoveEmail(ctx, link, account.Move{Email: record(4).Email, Key: record(4).EmailKey, At: birth}, tell))
		},
		"People.MoveEmail back": func(ctx context.Context) error {
			return failure(store.MoveEmail(ctx, link, account.Move{Email: record(4).Email, Key: record(4).EmailKey, Hash: hash, At: birth}, tell))
		},
		"People.History":     func(ctx context.Context) error { return failure(store.History(ctx, id, account.Event{}, 0, 10)) },
		"People.Browsers":    func(ctx context.Context) error { return failure(store.Browsers(ctx, id)) },
		"People.PasswordSet": func(ctx context.Context) error { return failure(store.PasswordSet(ctx, id)) },
		"People.Addresses":   func(ctx context.Context) error { return failure(store.Addresses(ctx, id)) },
		"People.CloseLater":  func(ctx context.Context) error { return store.CloseLater(ctx, id, time.Hour, birth, notes) },
		"People.KeepPerson":  func(ctx context.Context) error { return failure(store.KeepPerson(ctx, link, birth, notes)) },
		"People.Close": func(ctx context.Context) error {
			return failure(store.Close(ctx, id, nil, account.Audit{Emails: notes.Emails}))
		},

		"Outbox.Take": func(ctx context.Context) error {
			_, _, err := outbox.Take(ctx, time.Hour)
			return err
		},
		"Outbox.Remove":   func(ctx context.Context) error { return outbox.Remove(ctx, email) },
		"Outbox.Postpone": func(ctx context.Context) error { return outbox.Postpone(ctx, email, time.Hour) },

		"Tries.Find":       func(ctx context.Context) error { _, _, err := tries.Find(ctx, "try"); return err },
		"Tries.Swap":       func(ctx context.Context) error { return failure(tries.Swap(ctx, "try", throttle.State{}, try)) },
		"Tries.Swap again": func(ctx context.Context) error { return failure(tries.Swap(ctx, "try", try, try)) },
		"Tries.Swap away":  func(ctx context.Context) error { return failure(tries.Swap(ctx, "try", try, throttle.State{})) },
		"Tries.Remove":     func(ctx context.Context) error { return tries.Remove(ctx, "try") },

		"Revocations.Waiting":   func(ctx context.Context) error { return failure(revocations.Waiting(ctx, 10)) },
		"Revocations.WaitingOf": func(ctx context.Context) error { return failure(revocations.WaitingOf(ctx, id)) },
		"Revocations.Removed":   func(ctx context.Context) error { return revocations.Removed(ctx, []string{device.SessionKey}) },

		"Devices.Insert":        func(ctx context.Context) error { return devices.Insert(ctx, device) },
		"Devices.Confirm":       func(ctx context.Context) error { return failure(devices.Confirm(ctx, device.ID)) },
		"Devices.NameOf":        func(ctx context.Context) error { return failure(devices.NameOf(ctx, id)) },
		"Devices.Find":          func(ctx context.Context) error { return failure(devices.Find(ctx, id, device.ID)) },
		"Devices.FindByKey":     func(ctx context.Context) error { return failure(devices.FindByKey(ctx, device.SessionKey)) },
		"Devices.Live":          func(ctx context.Context) error { return failure(devices.Live(ctx, id, 10)) },
		"Devices.Past":          func(ctx context.Context) error { return failure(devices.Past(ctx, id, session.Device{}, 0, 10)) },
		"Devices.ListUnexpired": func(ctx context.Context) error { return failure(devices.ListUnexpired(ctx, id, "", 10)) },
		"Devices.RevokeByKey": func(ctx context.Context) error {
			return devices.RevokeByKey(ctx, []string{device.SessionKey}, session.RevokedByOwner)
		},
		"Devices.Unlisted": func(ctx context.Context) error { return failure(devices.Unlisted(ctx, []string{device.SessionKey})) },
		"Devices.Restore":  func(ctx context.Context) error { return devices.Restore(ctx, device, dawn) },
		"Devices.Expire":   func(ctx context.Context) error { return devices.Expire(ctx, []string{device.ID}) },
		"Devices.Clock":    func(ctx context.Context) error { return failure(devices.Clock(ctx)) },
		"Devices.RevokedSince": func(ctx context.Context) error {
			return devices.RevokedSince(ctx, birth, func([]string) error { return nil })
		},
		"Devices.RevokeAll": func(ctx context.Context) error { return devices.RevokeAll(ctx, session.RevokedByOwner, func(int) {}) },
		"Devices.Forget":    func(ctx context.Context) error { return devices.Forget(ctx, time.Hour) },
	}
}

func TestEveryCallOfTheDatabaseIsTriedInAnOutage(t *testing.T) {
	db := open(t, database.Config{DataDir: t.TempDir()})
	tried := map[string]bool{}
	for name := range calls(db) {
		call, _, _ := strings.Cut(name, " ")
		tried[call] = true
	}
	asked := reflect.TypeFor[context.Context]()
	for name, kind := range map[string]reflect.Type{
		"People": reflect.TypeFor[account.Store](), "Outbox": reflect.TypeFor[mail.Outbox](), "Tries": reflect.TypeFor[throttle.Store](),
		"Revocations": reflect.TypeFor[session.Revocations](), "Devices": reflect.TypeFor[session.DeviceStore](), "DB": reflect.TypeOf(db),
	} {
		for i := range kind.NumMethod() {
			method, context := kind.Method(i), 0
			if kind.Kind() != reflect.Interface {
				context = 1 // after the receiver
			}
			if in := method.Type; in.NumIn() > context && in.In(context) == asked && !tried[name+"."+method.Name] {
				t.Errorf("%s.%s is not tried", name, method.Name)
			}
			delete(tried, name+"."+method.Name)
		}
	}
	if len(tried) != 0 {
		t.Errorf("there are no calls %v", tried)
	}
}
