package session

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// settling is how old an entry must be before a missing record means that its
// session is over: a younger one may be between ledger and store.
const settling = time.Minute

// liveAtOnce is how many live entries are handled in one go.
const liveAtOnce = 10 * MaxLive

// maxLooks bounds how often an ending looks for sessions that were renewed
// while it ran.
const maxLooks = 10

// Device is one session of a person, as they see it.
type Device struct {
	ID         string
	UserAgent  string
	Address    string
	Remembered bool
	Current    bool // the session this request came with
	Since      time.Time
	Seen       time.Time // zero for a past one
	Ended      time.Time // zero for a live one
	How        Ending
}

// Devices returns the live sessions of the person logged in, this one first,
// then the latest used. Errors: ErrUnavailable, the ledger's own, and ErrEnded
// for a guest.
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
		return b.Seen.Compare(a.Seen)
	})
	return devices, nil
}

// PastDevices returns ended sessions of the person logged in, latest first.
func (s *Session) PastDevices(ctx context.Context, offset, limit int) ([]Device, error) {
	member, ok := s.Member()
	if !ok {
		return nil, ErrEnded
	}
	entries, err := s.manager.ledger.Past(ctx, member.ID, offset, limit)
	if err != nil {
		return nil, err
	}
	devices := make([]Device, len(entries))
	for i, e := range entries {
		devices[i] = e.device(Record{})
	}
	return devices, nil
}

// EndDevice ends one session of the person logged in; ending this one is a
// log-out. Ending what has ended already changes nothing. Errors: ErrNoDevice
// for a session that is not theirs, ErrUnavailable.
func (s *Session) EndDevice(ctx context.Context, id string) error {
	member, ok := s.Member()
	if !ok {
		return ErrEnded
	}
	entry, err := s.manager.ledger.Find(ctx, member.ID, id)
	if err != nil {
		return err
	}
	if sameLogIn(id, member.Device) {
		s.LogOut()
		return nil
	}
	return s.manager.endLogIn(ctx, entry, EndedByOwner)
}

// EndOthers ends every session of the person logged in but this one, and
// returns how many those were.
func (s *Session) EndOthers(ctx context.Context) (int, error) {
	member, ok := s.Member()
	if !ok {
		return 0, ErrEnded
	}
	return s.manager.endWhere(ctx, member.ID, EndedByOwner, func(e Entry) bool { return e.ID != member.Device })
}

// Devices returns the live sessions of a person, newest first: the entries of
// the ledger whose record the store still holds, asked for in one command.
// Entries without one are marked as expired on the way.
func (m *Manager) Devices(ctx context.Context, person string) ([]Device, error) {
	entries, records, err := m.live(ctx, person)
	if err != nil {
		return nil, err
	}
	devices := make([]Device, len(entries))
	for i, e := range entries {
		devices[i] = e.device(records[i])
	}
	return devices, nil
}

// EndDevice ends one session of a person. Errors: as [Session.EndDevice].
func (m *Manager) EndDevice(ctx context.Context, person, id string, how Ending) error {
	entry, err := m.ledger.Find(ctx, person, id)
	if err != nil {
		return err
	}
	return m.endLogIn(ctx, entry, how)
}

// endLogIn ends a session and what it may have become by renewal.
func (m *Manager) endLogIn(ctx context.Context, entry Entry, how Ending) error {
	if err := m.end(ctx, []Entry{entry}, how); err != nil {
		return err
	}
	_, err := m.endWhere(ctx, entry.Person, how, func(e Entry) bool { return sameLogIn(e.ID, entry.ID) })
	return err
}

// EndAll ends every session of a person, or with person "" of everybody, and
// returns how many those were.
func (m *Manager) EndAll(ctx context.Context, person string, how Ending) (int, error) {
	return m.endWhere(ctx, person, how, func(Entry) bool { return true })
}

// endWhere ends the chosen sessions until a look at all entries finds none. A
// session that moved to a new token while it was being ended is found by the
// next look; once its old record is gone, it cannot move any more. People who
// keep logging in do not hold it up for ever.
func (m *Manager) endWhere(ctx context.Context, person string, how Ending, chosen func(Entry) bool) (int, error) {
	ended := 0
	for looks := 0; looks < maxLooks; {
		entries, err := m.ledger.Live(ctx, person, m.now(), liveAtOnce)
		if err != nil {
			return ended, err
		}
		if len(entries) < liveAtOnce {
			looks++
		}
		entries = slices.DeleteFunc(entries, func(e Entry) bool { return !chosen(e) })
		if len(entries) == 0 {
			break
		}
		if err := m.end(ctx, entries, how); err != nil {
			return ended, err
		}
		ended += len(entries)
	}
	return ended, nil
}

// end removes sessions from the store first, where it counts, and then marks
// them in the ledger. Failing in between leaves entries that heal to expired;
// the other way round would leave sessions that nobody could end. It removes
// them once more after that: a log-in under way may have stored its session
// after the first time and found its entry standing before the mark.
//
// A caller that gives up does not come in between: an ending that is not noted
// could not be repeated in a store that has lost it.
func (m *Manager) end(ctx context.Context, entries []Entry, how Ending) error {
	ctx = context.WithoutCancel(ctx)
	if err := m.removeAll(ctx, entries); err != nil {
		return err
	}
	ids := make([]string, len(entries))
	for i, e := range entries {
		ids[i] = e.ID
	}
	if err := m.ledger.End(ctx, ids, how, m.now()); err != nil {
		return err
	}
	return m.removeAll(ctx, entries)
}

func (m *Manager) removeAll(ctx context.Context, entries []Entry) error {
	for _, e := range entries {
		if err := m.guard.cells.remove(ctx, e.Key); err != nil {
			return fmt.Errorf("end session: %w", unavailable(err))
		}
	}
	return nil
}

// live returns the entries of a person whose session lives, and their records.
func (m *Manager) live(ctx context.Context, person string) ([]Entry, []Record, error) {
	now := m.now()
	entries, err := m.ledger.Live(ctx, person, now, liveAtOnce)
	if err != nil {
		return nil, nil, err
	}
	keys := make([]string, len(entries))
	for i, e := range entries {
		keys[i] = e.Key
	}
	stored, err := m.guard.cells.findMany(ctx, keys)
	if err != nil {
		return nil, nil, fmt.Errorf("look up sessions: %w", unavailable(err))
	}
	var alive []Entry
	var records []Record
	var over []string
	for i, e := range entries {
		record, err := decodeRecord(stored[i])
		switch {
		case stored[i] != nil && err == nil && record.Member != nil && m.limits.live(record, now):
			alive, records = append(alive, e), append(records, record)
		case now.Sub(e.Created) > settling:
			over = append(over, e.ID)
		}
	}
	if err := m.ledger.End(ctx, over, EndedByTime, now); err != nil {
		return nil, nil, err
	}
	return alive, records, nil
}

func (e Entry) device(r Record) Device {
	return Device{
		ID:         e.ID,
		UserAgent:  e.UserAgent,
		Address:    e.Address,
		Remembered: e.Remembered,
		Since:      e.Created,
		Seen:       r.Seen,
		Ended:      e.Ended,
		How:        e.How,
	}
}

// Rename has every session of a person greet by a new name from its next
// request on.
func (m *Manager) Rename(ctx context.Context, person, name string) error {
	entries, records, err := m.live(ctx, person)
	if err != nil {
		return err
	}
	for i, e := range entries {
		if err := m.renameOne(ctx, e.Key, records[i], name); err != nil {
			return fmt.Errorf("rename in session: %w", unavailable(err))
		}
	}
	return nil
}

func (m *Manager) renameOne(ctx context.Context, key string, record Record, name string) error {
	found, err := encodeRecord(record)
	if err != nil {
		return err
	}
	renamed := record.clone()
	renamed.Member.Name = name
	mine, err := encodeRecord(renamed)
	if err != nil {
		return err
	}
	_, _, err = m.guard.replace(ctx, key, found, mine, m.limits.idleEnd(renamed).Sub(m.now()))
	if isEnded(err) {
		return nil
	}
	return err
}

// trim ends the oldest sessions of a person beyond MaxLive, the one just
// entered counted but never ended, and returns how many it ended. It counts
// entries, not records: of many log-ins at once each sees all the others, also
// those that are not stored yet.
func (m *Manager) trim(ctx context.Context, opened Entry) (int, error) {
	entries, err := m.ledger.Live(ctx, opened.Person, m.now(), liveAtOnce)
	if err != nil || len(entries) <= MaxLive {
		return 0, err
	}
	if _, _, err := m.live(ctx, opened.Person); err != nil { // heals what is over
		return 0, err
	}
	entries, err = m.ledger.Live(ctx, opened.Person, m.now(), liveAtOnce)
	if err != nil {
		return 0, err
	}
	entries = slices.DeleteFunc(entries, func(e Entry) bool { return e.ID == opened.ID })
	if len(entries) < MaxLive {
		return 0, nil
	}
	oldest := entries[MaxLive-1:] // newest first
	return len(oldest), m.end(ctx, oldest, EndedByLimit)
}
