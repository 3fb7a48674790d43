package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"
)

// MaxLive is how many live sessions one person can have. One more log-in ends
// the oldest (the number is GitLab's; ASVS 5.0 7.1.2 asks that there be one).
const MaxLive = 100

// ErrNoDevice: this person has no such session, now or in the past.
var ErrNoDevice = errors.New("no such session of this person")

// EndReason says how a session ended.
type EndReason string

// The ways a session ends. The words are stored, so they do not change.
const (
	EndedByLogOut   EndReason = "log-out"  // on the device itself
	EndedByOwner    EndReason = "owner"    // from another device
	EndedByOperator EndReason = "operator" // by a command
	EndedByDisable  EndReason = "disabled" // the person may not log in any more
	EndedByLimit    EndReason = "limit"    // the oldest of more than MaxLive
	EndedByLogIn    EndReason = "log-in"   // a new log-in in the same browser
	EndedByTime     EndReason = "expired"  // idle too long, or too old
)

// Device is one log-in of a person: a row in the people's database, which
// outlives the session so that it can be listed, and ended again in a store
// that was restored from older data.
type Device struct {
	ID         string
	PersonID   string
	SessionKey string // the store's name for the session: the hash of its token
	UserAgent  string
	Address    string
	Remembered bool
	CreatedAt  time.Time
	ExpiresAt  time.Time // absolute lifetime
	EndedAt    time.Time // zero while the session may be live
	EndReason  EndReason // "" while the session may be live

	LastSeenAt time.Time // from the session's record; zero for a past one
	Current    bool      // the session this request came with
}

// DeviceStore keeps devices, in the people's database. A row proves nothing
// alone: only the session store says that a session lives. All ages are judged
// by the database's clock, in the statement that acts on them, so that servers
// whose clocks differ agree.
type DeviceStore interface {
	// Insert stores a device before its session is stored; it counts for nothing
	// until it is confirmed. ErrEnded when the person may not log in (any more),
	// decided in one step with the writing.
	Insert(ctx context.Context, d Device) error
	// Confirm makes a device count whose session is stored, and returns the
	// person's name. ErrEnded when the device has ended meanwhile.
	Confirm(ctx context.Context, id string) (name string, err error)
	// NameOf returns the name that a person has now, or ErrEnded when the person is
	// there no more.
	NameOf(ctx context.Context, person string) (string, error)
	// Find returns one device of a person, ended or not, or ErrNoDevice.
	Find(ctx context.Context, person, id string) (Device, error)
	// FindByKey returns the device whose session has this key, ended or not, or
	// ErrNoDevice.
	FindByKey(ctx context.Context, key string) (Device, error)
	// Live returns at most limit confirmed devices of a person that have not
	// ended, newest first. Those past their lifetime are among them until they are
	// marked as expired.
	Live(ctx context.Context, person string, limit int) ([]Device, error)
	// Past returns ended devices of a person, latest first.
	Past(ctx context.Context, person string, offset, limit int) ([]Device, error)
	// Believable returns devices, in the order of their ids from after on, whose
	// session could be stored somewhere: whose lifetime has not passed, ended
	// or not, confirmed or not.
	Believable(ctx context.Context, person, after string, limit int) ([]Device, error)
	// EndByKey marks those of the devices with these session keys that have not
	// ended yet; keys of no device do nothing.
	EndByKey(ctx context.Context, keys []string, why EndReason) error
	// Expire marks those of the devices as expired that have not ended yet and
	// were inserted more than a minute ago: a younger one may be about to be
	// confirmed.
	Expire(ctx context.Context, ids []string) error
	// Clock reads the database's clock, which stamps all of this.
	Clock(ctx context.Context) (Clock, error)
	// EndedSince passes the keys of devices that ended at since or later, and
	// whose lifetime has not passed, to yield, batch by batch.
	EndedSince(ctx context.Context, since time.Time, yield func(keys []string) error) error
	// EndEverybody marks the devices of all people that have not ended yet, page
	// by page, and passes how many those were so far to progress, one call at a
	// time. It may miss one that is inserted meanwhile.
	EndEverybody(ctx context.Context, why EndReason, progress func(marked int)) error
	// Forget removes devices that ended or expired before an age, and whose
	// lifetime has passed, once a day however many servers ask.
	Forget(ctx context.Context, age time.Duration) error
}

// newID returns 80 random bits as text, for things that are named but secret
// to nobody. It has letters and digits only: an operator types it after a flag,
// and a dash in front would look like another one.
func newID() string { return rand.Text()[:16] }

// atOnce is how many devices are handled in one go.
const atOnce = 10 * MaxLive

// Devices returns the live sessions of the person logged in, this one first,
// then the latest used. Errors: ErrUnavailable, the device store's own, and
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
		if a.Current != b.Current {
			if a.Current {
				return -1
			}
			return 1
		}
		return b.LastSeenAt.Compare(a.LastSeenAt)
	})
	return devices, nil
}

// PastDevices returns ended sessions of the person logged in, latest first.
func (s *Session) PastDevices(ctx context.Context, offset, limit int) ([]Device, error) {
	member, ok := s.Member()
	if !ok {
		return nil, ErrEnded
	}
	return s.manager.devices.Past(ctx, member.ID, offset, limit)
}

// EndDevice ends one session of the person logged in; ending this one is a
// log-out. Ending what has ended already changes nothing. Errors: ErrNoDevice
// for a session that is not theirs, ErrUnavailable.
func (s *Session) EndDevice(ctx context.Context, id string) error {
	member, ok := s.Member()
	if !ok {
		return ErrEnded
	}
	if id == member.Device {
		s.LogOut()
		return nil
	}
	return s.manager.EndDevice(ctx, member.ID, id, EndedByOwner)
}

// EndOthers ends every session of the person logged in but this one, and
// returns how many live ones those were.
func (s *Session) EndOthers(ctx context.Context) (int, error) {
	member, ok := s.Member()
	if !ok {
		return 0, ErrEnded
	}
	return s.manager.endAll(ctx, member.ID, member.Device, EndedByOwner)
}

// Devices returns the live sessions of a person, newest first: the devices
// whose record the store still has, asked for in one command. Those without one
// are marked as expired on the way.
func (m *Manager) Devices(ctx context.Context, person string) ([]Device, error) {
	devices, _, err := m.live(ctx, person)
	return devices, err
}

// EndDevice ends one session of a person. Errors: as [Session.EndDevice].
func (m *Manager) EndDevice(ctx context.Context, person, id string, why EndReason) error {
	d, err := m.devices.Find(ctx, person, id)
	if err != nil {
		return err
	}
	return m.end(ctx, []Device{d}, why)
}

// EndAll ends every session of a person and returns how many there were in the
// store.
func (m *Manager) EndAll(ctx context.Context, person string, why EndReason) (int, error) {
	return m.endAll(ctx, person, "", why)
}

// endAll ends sessions whatever their rows say of them: a store restored from
// older data may hold one whose row has ended long ago.
func (m *Manager) endAll(ctx context.Context, person, except string, why EndReason) (int, error) {
	ended := 0
	for after := ""; ; {
		devices, err := m.devices.Believable(ctx, person, after, atOnce)
		if err != nil {
			return ended, err
		}
		if len(devices) == 0 {
			return ended, nil
		}
		after = devices[len(devices)-1].ID
		devices = slices.DeleteFunc(devices, func(d Device) bool { return d.ID == except })
		stored, err := m.store.GetMany(ctx, keysOf(devices))
		if err != nil {
			return ended, fmt.Errorf("look up sessions: %w", unavailable(err))
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

// EndEverybody ends every session there is, guests' included, and returns how
// many there were in the store. It does not rest on the list of devices: what
// the store holds is removed by its keys. progress is told now and then how many
// devices are marked.
func (m *Manager) EndEverybody(ctx context.Context, why EndReason, progress func(marked int)) (int, error) {
	ended, err := m.store.DeleteAll(ctx)
	if err != nil {
		return ended, fmt.Errorf("end sessions: %w", unavailable(err))
	}
	if err := m.devices.EndEverybody(ctx, why, progress); err != nil {
		return ended, err
	}
	// Those who have logged in meanwhile.
	if err := m.devices.EndEverybody(ctx, why, func(int) {}); err != nil {
		return ended, err
	}
	// A log-in under way may have stored its session after the first time and
	// been confirmed before the mark.
	if _, err := m.store.DeleteAll(ctx); err != nil {
		return ended, fmt.Errorf("end sessions: %w", unavailable(err))
	}
	return ended, nil
}

// end removes sessions from the store first, where it counts, and then marks
// their devices. Failing in between leaves rows that are found to have expired;
// the other way round would leave sessions that nobody could end. It removes
// them once more after that: a log-in under way may have stored its session
// after the first time and been confirmed before the mark.
//
// A caller that gives up does not come in between: an ending that is not noted
// could not be repeated in a store that has lost it.
func (m *Manager) end(ctx context.Context, devices []Device, why EndReason) error {
	if len(devices) == 0 {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	keys := keysOf(devices)
	if err := m.store.Delete(ctx, keys...); err != nil {
		return fmt.Errorf("end sessions: %w", unavailable(err))
	}
	if err := m.persistRevocation(ctx, keys, why); err != nil {
		return err
	}
	if err := m.store.Delete(ctx, keys...); err != nil {
		return fmt.Errorf("end sessions: %w", unavailable(err))
	}
	return nil
}

func keysOf(devices []Device) []string {
	keys := make([]string, len(devices))
	for i, d := range devices {
		keys[i] = d.SessionKey
	}
	return keys
}

// live returns the devices of a person whose session lives, and its records.
func (m *Manager) live(ctx context.Context, person string) ([]Device, []Record, error) {
	devices, err := m.devices.Live(ctx, person, atOnce)
	if err != nil {
		return nil, nil, err
	}
	stored, err := m.store.GetMany(ctx, keysOf(devices))
	if err != nil {
		return nil, nil, fmt.Errorf("look up sessions: %w", unavailable(err))
	}
	var live []Device
	var records []Record
	var expired []string
	now := m.now()
	for i, d := range devices {
		record, err := DecodeRecord(stored[i])
		switch {
		case stored[i] == nil:
			expired = append(expired, d.ID)
		case errors.Is(err, errNewer):
			live, records = append(live, d), append(records, Record{})
		case err != nil || record.Member == nil || !m.limits.Live(record, now):
			expired = append(expired, d.ID)
		default:
			d.LastSeenAt = record.LastSeenAt
			live, records = append(live, d), append(records, record)
		}
	}
	if len(expired) > 0 {
		// A list does not fail when the database takes no writes just now.
		if err := m.devices.Expire(ctx, expired); err != nil {
			m.log.WarnContext(ctx, "expired sessions not recorded", "cause", err)
		}
	}
	return live, records, nil
}

// Rename has every session of a person greet by a new name, which is stored, from
// its next request on. Of several renames at once the one stored last counts: each
// reads the name again after it has written its own, and goes on until that is
// what it wrote, so that the last of all writes has the name that is stored.
func (m *Manager) Rename(ctx context.Context, person, name string) error {
	for range maxTries {
		devices, records, err := m.live(ctx, person)
		if err != nil {
			return err
		}
		for i, d := range devices {
			if err := m.renameOne(ctx, d.SessionKey, records[i], name); err != nil {
				return fmt.Errorf("rename in session: %w", err)
			}
		}
		written := name
		if name, err = m.devices.NameOf(ctx, person); err != nil || name == written {
			return err
		}
	}
	return fmt.Errorf("rename in sessions: %w: %w", ErrUnavailable, errConflicts)
}

func (m *Manager) renameOne(ctx context.Context, key string, r Record, name string) error {
	err := retry(func() error {
		now := m.now()
		if r.Member == nil || !m.limits.Live(r, now) {
			return ErrEnded
		}
		renamed := r.clone()
		renamed.Member.Name = name
		raw, err := encodeRecord(key, renamed)
		if err != nil {
			return fmt.Errorf("encode session: %w", err)
		}
		return unavailable(m.store.CompareAndSwap(ctx, key, r.raw, raw, m.limits.IdleExpiresAt(renamed).Sub(now)))
	}, func() (err error) {
		r, err = m.read(ctx, key)
		return err
	})
	if errors.Is(err, ErrEnded) {
		return nil
	}
	return err
}

// makeRoom ends the oldest sessions of a person beyond MaxLive, and returns how
// many it ended. The one just confirmed counts and is never ended. Of many
// log-ins at once the last to be confirmed sees all the others.
func (m *Manager) makeRoom(ctx context.Context, person, confirmed string) (int, error) {
	devices, err := m.devices.Live(ctx, person, atOnce)
	if err != nil || len(devices) <= MaxLive {
		return 0, err
	}
	if devices, _, err = m.live(ctx, person); err != nil {
		return 0, err
	}
	devices = slices.DeleteFunc(devices, func(d Device) bool { return d.ID == confirmed })
	if len(devices) < MaxLive {
		return 0, nil
	}
	oldest := devices[MaxLive-1:] // newest first
	return len(oldest), m.end(ctx, oldest, EndedByLimit)
}
