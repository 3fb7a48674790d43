package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// MaxLive is how many live sessions one person can have. One more login revokes the
// oldest (the number is GitLab's; ASVS 5.0 7.1.2 asks for a limit).
const MaxLive = 100

// ErrNoDevice: this person has no such session, now or in the past.
var ErrNoDevice = errors.New("this person has no such session")

// RevokeReason is why a session ended.
type RevokeReason string

// The reasons why a session ends. They are stored, so they must not change.
const (
	RevokedByLogOut   RevokeReason = "log-out"  // on the device itself
	RevokedByOwner    RevokeReason = "owner"    // from another device
	RevokedByOperator RevokeReason = "operator" // by a command
	RevokedByDisable  RevokeReason = "disabled" // the person may no longer log in
	RevokedByLimit    RevokeReason = "limit"    // the oldest of more than MaxLive
	RevokedByLogIn    RevokeReason = "log-in"   // a new login in the same browser
	RevokedByTime     RevokeReason = "expired"  // idle too long, or too old
)

// Device is one login of a person: a row in the database that outlives the session,
// so that the session can be listed, and revoked again in a store that was restored
// from older data.
type Device struct {
	ID           string
	PersonID     string
	SessionKey   string // the store's name for the session: the hash of its token
	UserAgent    string
	Address      string
	Remembered   bool
	CreatedAt    time.Time
	ExpiresAt    time.Time    // absolute lifetime
	RevokedAt    time.Time    // zero while the session may be live
	RevokeReason RevokeReason // "" while the session may be live

	LastSeenAt time.Time // from the session's record; zero for a past one
	Current    bool      // the session this request came with

	record *Record // of the session, where it was read
}

// Values returns what the session stores; nil for a past one.
func (d Device) Values() map[string]string {
	if d.record == nil {
		return nil
	}
	return maps.Clone(d.record.Values)
}

// DeviceStore keeps devices, in the database. A row alone does not make a session
// valid; the session store decides that. All ages are measured by the database's
// clock, in the statement that uses them, so that servers with different clocks
// agree.
type DeviceStore interface {
	// Insert stores a device before its session is stored; it has no effect until
	// it is confirmed. It returns ErrEnded if the person may not log in (any more),
	// decided atomically with the write.
	Insert(ctx context.Context, d Device) error
	// Confirm puts a device whose session is stored into effect, and returns the
	// person's name. It returns ErrEnded if the device has ended in the meantime.
	Confirm(ctx context.Context, id string) (name string, err error)
	// NameOf returns the person's current name, or ErrEnded if the person no longer
	// exists.
	NameOf(ctx context.Context, person string) (string, error)
	// Find returns one device of a person, ended or not, or ErrNoDevice.
	Find(ctx context.Context, person, id string) (Device, error)
	// FindByKey returns the device whose session has this key, ended or not, or
	// ErrNoDevice. Of one that was deleted with its account, it returns when it ended
	// and RevokedByDeletion.
	FindByKey(ctx context.Context, key string) (Device, error)
	// Live returns at most limit confirmed devices of a person that have not ended,
	// newest first. Devices past their lifetime are included until they are marked
	// as expired.
	Live(ctx context.Context, person string, limit int) ([]Device, error)
	// Past returns devices of a person that ended before one, latest first; before the
	// zero Device come all.
	Past(ctx context.Context, person string, before Device, offset, limit int) ([]Device, error)
	// ListUnexpired returns devices, ordered by id and starting after the id after,
	// whose session could be stored somewhere: whose lifetime has not passed,
	// whether ended or not, confirmed or not.
	ListUnexpired(ctx context.Context, person, after string, limit int) ([]Device, error)
	// RevokeByKey marks the devices with these session keys as ended, except those
	// that have ended already. It ignores keys of no device.
	RevokeByKey(ctx context.Context, keys []string, why RevokeReason) error
	// Expire marks those of the devices as expired that have not ended yet and were
	// inserted more than a minute ago: a younger one may be about to be confirmed.
	Expire(ctx context.Context, ids []string) error
	// Unlisted returns those of the keys for which there is no device, or only one that
	// is not confirmed.
	Unlisted(ctx context.Context, keys []string) ([]string, error)
	// Restore inserts a confirmed device of a session that is stored already; now is
	// the present by the clock of its times. If the person is gone or may not log in,
	// it stores the revocation of the session instead, and returns ErrEnded.
	Restore(ctx context.Context, d Device, now time.Time) error
	// Clock reads the database's clock, which stamps all of this.
	Clock(ctx context.Context) (Clock, error)
	// RevokedSince passes the keys of devices that ended at since or later, and whose
	// lifetime has not passed, to yield, in batches.
	RevokedSince(ctx context.Context, since time.Time, yield func(keys []string) error) error
	// RevokeAll marks all people's devices that have not ended yet as ended, in
	// batches, and passes the number so far to progress, one call at a time. It may
	// miss a device that is inserted during the call.
	RevokeAll(ctx context.Context, why RevokeReason, progress func(marked int)) error
	// Forget deletes devices that ended or expired longer than age ago and whose
	// lifetime has passed, once a day however many servers call it.
	Forget(ctx context.Context, age time.Duration) error
}

// newID returns 80 random bits as text, for ids that are not secret. They consist
// of letters and digits only, because an operator types them after a flag, where a
// leading dash would look like another flag.
func newID() string { return rand.Text()[:16] }

// atOnce is the batch size for devices.
const atOnce = 10 * MaxLive

// Devices returns the live sessions of the logged-in person: this one first, then
// the most recently used. Errors: ErrUnavailable, the device store's errors, and
// ErrEnded for a guest.
func (s *Session) Devices(ctx context.Context) ([]Device, error) {
	member, ok := s.Member()
	if !ok {
		return nil, ErrEnded
	}
	devices, err := s.manager.Devices(ctx, member.ID)
	if err != nil {
		return nil, err
	}
	for i := range devices {
		devices[i].Current = devices[i].ID == member.Device
	}
	slices.SortStableFunc(devices, func(a, b Device) int {
		switch {
		case a.Current:
			return -1
		case b.Current:
			return 1
		}
		return b.LastSeenAt.Compare(a.LastSeenAt)
	})
	return devices, nil
}

// PastDevices returns sessions of the logged-in person that ended before one, or all
// before the zero one, latest first.
func (s *Session) PastDevices(ctx context.Context, before Device, offset, limit int) ([]Device, error) {
	member, ok := s.Member()
	if !ok {
		return nil, ErrEnded
	}
	return s.manager.cfg.Devices.Past(ctx, member.ID, before, offset, limit)
}

// RevokeDevice revokes one session of the logged-in person; for this session it is a
// logout. It does nothing if the session has ended already. Errors: ErrNoDevice for
// a session that is not theirs, ErrUnavailable.
func (s *Session) RevokeDevice(ctx context.Context, id string) error {
	member, ok := s.Member()
	if !ok {
		return ErrEnded
	}
	if id == member.Device {
		s.LogOut()
		return nil
	}
	return s.manager.RevokeDevice(ctx, member.ID, id, RevokedByOwner)
}

// RevokeOthers revokes every session of the logged-in person except this one, and
// returns how many live ones there were.
func (s *Session) RevokeOthers(ctx context.Context) (int, error) {
	member, ok := s.Member()
	if !ok {
		return 0, ErrEnded
	}
	return s.manager.revokeAllOf(ctx, member.ID, member.Device, RevokedByOwner)
}

// RevokeDevice revokes one session of a person. Errors: see [Session.RevokeDevice].
func (m *Manager) RevokeDevice(ctx context.Context, person, id string, why RevokeReason) error {
	d, err := m.cfg.Devices.Find(ctx, person, id)
	if err != nil {
		return err
	}
	return m.end(ctx, []Device{d}, why)
}

// RevokeAllOf revokes every session of a person and returns how many there were in the
// store.
func (m *Manager) RevokeAllOf(ctx context.Context, person string, why RevokeReason) (int, error) {
	return m.revokeAllOf(ctx, person, "", why)
}

// revokeAllOf revokes sessions whatever their rows say: a store restored from older data
// may have a session whose row ended long ago.
func (m *Manager) revokeAllOf(ctx context.Context, person, except string, why RevokeReason) (int, error) {
	ended := 0
	for after := ""; ; {
		devices, err := m.cfg.Devices.ListUnexpired(ctx, person, after, atOnce)
		if err != nil {
			return ended, err
		}
		if len(devices) == 0 {
			return ended, nil
		}
		after = devices[len(devices)-1].ID
		devices = slices.DeleteFunc(devices, func(d Device) bool { return d.ID == except })
		stored, err := m.cfg.Store.GetMany(ctx, keysOf(devices))
		if err != nil {
			return ended, unavailable("read sessions", err)
		}
		if err := m.end(ctx, devices, why); err != nil {
			return ended, err
		}
		for _, raw := range stored {
			if raw != nil {
				ended++
			}
		}
	}
}

// RevokeAll revokes every session, including those of guests, and returns how
// many there were in the store. It does not depend on the list of devices: it
// deletes all keys in the store. It calls progress from time to time with the
// number of devices marked.
func (m *Manager) RevokeAll(ctx context.Context, why RevokeReason, progress func(marked int)) (int, error) {
	ended, err := m.cfg.Store.DeleteAll(ctx)
	if err != nil {
		return ended, unavailable("revoke sessions", err)
	}
	if err := m.cfg.Devices.RevokeAll(ctx, why, progress); err != nil {
		return ended, err
	}
	// People who have logged in meanwhile.
	if err := m.cfg.Devices.RevokeAll(ctx, why, func(int) {}); err != nil {
		return ended, err
	}
	// A login in progress may have stored its session after the first deletion and
	// been confirmed before the mark.
	_, err = m.cfg.Store.DeleteAll(ctx)
	return ended, unavailable("revoke sessions", err)
}

// end deletes sessions from the store first, which takes effect immediately, and
// then marks their devices. A failure in between leaves rows that are later found
// to have expired; the other order would leave sessions that no one could revoke.
// It then deletes the sessions again: a login in progress may have stored its
// session after the first deletion and been confirmed before the mark.
//
// It ignores cancellation: a revocation that is not recorded could not be repeated
// in a store that has lost it.
func (m *Manager) end(ctx context.Context, devices []Device, why RevokeReason) error {
	if len(devices) == 0 {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	keys := keysOf(devices)
	if err := m.cfg.Store.Delete(ctx, keys...); err != nil {
		return unavailable("revoke sessions", err)
	}
	if err := m.persistRevocation(ctx, keys, keys, why); err != nil {
		return err
	}
	return unavailable("revoke sessions", m.cfg.Store.Delete(ctx, keys...))
}

func keysOf(devices []Device) []string {
	keys := make([]string, len(devices))
	for i, d := range devices {
		keys[i] = d.SessionKey
	}
	return keys
}

// Devices returns the live sessions of a person, newest first: the devices whose
// record is still in the store, read with one command. It marks the others as
// expired.
func (m *Manager) Devices(ctx context.Context, person string) (live []Device, err error) {
	devices, err := m.cfg.Devices.Live(ctx, person, atOnce)
	if err != nil {
		return nil, err
	}
	stored, err := m.cfg.Store.GetMany(ctx, keysOf(devices))
	if err != nil {
		return nil, unavailable("read sessions", err)
	}
	var expired []string
	now := m.cfg.Now()
	for i, d := range devices {
		record, err := DecodeRecord(stored[i])
		switch {
		case errors.Is(err, errNewer):
		case err != nil || record.Member == nil || !m.cfg.Limits.Live(record, now): // also where nothing is stored
			expired = append(expired, d.ID)
			continue
		default:
			d.LastSeenAt, d.record = record.LastSeenAt, &record
		}
		live = append(live, d)
	}
	if len(expired) > 0 {
		// A list does not fail because the database accepts no writes right now.
		if err := m.cfg.Devices.Expire(ctx, expired); err != nil {
			m.cfg.Log.WarnContext(ctx, "expired sessions not recorded", "cause", err)
		}
	}
	return live, nil
}

// Rename updates the name in every session of a person after the name was stored.
// If several renames run at the same time, the one stored last wins: each reads the
// name again after writing its own, and repeats until both are equal, so the last
// of all writes has the stored name.
func (m *Manager) Rename(ctx context.Context, person, name string) error {
	for range maxTries {
		devices, err := m.Devices(ctx, person)
		if err != nil {
			return err
		}
		for _, d := range devices {
			if d.record == nil {
				continue // a newer server's
			}
			if err := m.renameOne(ctx, d.SessionKey, *d.record, name); err != nil && !errors.Is(err, ErrEnded) {
				return fmt.Errorf("rename in session: %w", err)
			}
		}
		written := name
		if name, err = m.cfg.Devices.NameOf(ctx, person); err != nil || name == written {
			return err
		}
	}
	return fmt.Errorf("rename in sessions: %w: %w", ErrUnavailable, errConflicts)
}

func (m *Manager) renameOne(ctx context.Context, key string, r Record, name string) error {
	return retry(func() error {
		now := m.cfg.Now()
		if r.Member == nil || !m.cfg.Limits.Live(r, now) {
			return ErrEnded
		}
		renamed := r.clone()
		renamed.Member.Name = name
		raw, err := EncodeRecord(key, renamed)
		if err != nil {
			return fmt.Errorf("encode session: %w", err)
		}
		return unavailable("store session", m.cfg.Store.CompareAndSwap(ctx, key, r.raw, raw, m.cfg.Limits.IdleExpiresAt(renamed).Sub(now)))
	}, func() (err error) {
		r, err = m.read(ctx, key)
		return err
	})
}

// makeRoom revokes the oldest sessions of a person beyond MaxLive, and returns how
// many it revoked. The one just confirmed counts and is never revoked. If many
// logins run at the same time, the last one to be confirmed sees all the others.
func (m *Manager) makeRoom(ctx context.Context, person, confirmed string) (int, error) {
	devices, err := m.cfg.Devices.Live(ctx, person, atOnce)
	if err != nil || len(devices) <= MaxLive {
		return 0, err
	}
	if devices, err = m.Devices(ctx, person); err != nil {
		return 0, err
	}
	devices = slices.DeleteFunc(devices, func(d Device) bool { return d.ID == confirmed })
	if len(devices) < MaxLive {
		return 0, nil
	}
	oldest := devices[MaxLive-1:] // newest first
	return len(oldest), m.end(ctx, oldest, RevokedByLimit)
}
