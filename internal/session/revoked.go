package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/internal/session/revocation"
	"holdfast/internal/session/store"
)

// RevocationLog returns the revocations that a session store must not lose: those
// recorded with the devices, and those still queued in dataDir.
func RevocationLog(devices DeviceStore, dataDir string) store.RevocationLog {
	return endings{devices, revocation.NewQueue(dataDir)}
}

type endings struct {
	DeviceStore
	queue *revocation.Queue
}

// RevokedSince implements [store.RevocationLog]. It passes the whole queue, because it is
// unknown when the entries will be stored. It reads the queue first, since entries
// that leave it in the meantime are with the devices by then.
func (e endings) RevokedSince(ctx context.Context, since time.Time, yield func(keys []string) error) error {
	if err := e.queue.Each(ctx, yield); err != nil {
		return fmt.Errorf("read queued revocations: %w", err)
	}
	return e.DeviceStore.RevokedSince(ctx, since, yield)
}

// persistRevocation records with the devices how sessions ended that the session
// store has deleted, or queues that for the known ones if the database is unavailable.
// Errors: ErrNotRecorded if neither is possible.
func (m *Manager) persistRevocation(ctx context.Context, keys, known []string, why RevokeReason) error {
	failed := m.cfg.Devices.RevokeByKey(ctx, keys, why)
	if failed == nil {
		return nil
	}
	if len(known) == 0 {
		return fmt.Errorf("%w: %w", ErrNotRecorded, failed)
	}
	if err := m.queue.Add(ctx, known, string(why)); err != nil {
		return fmt.Errorf("%w: %w", ErrNotRecorded, errors.Join(failed, err))
	}
	m.cfg.Log.WarnContext(ctx, "session revocations queued: database unavailable", "reason", why, "sessions", len(known), "cause", failed)
	return nil
}

const (
	// drainEvery is the interval of attempts to store queued revocations.
	drainEvery = time.Second
	// keepPast is how long a person's ended sessions are listed.
	keepPast = 90 * 24 * time.Hour
	// forgetTryEvery is how often a server checks whether it is time to delete old
	// ended sessions; only one of all servers does so, once a day.
	forgetTryEvery = time.Hour
)

// Maintain stores queued revocations when the database is available again, and
// deletes old ended sessions from the database, until ctx ends.
func (m *Manager) Maintain(ctx context.Context) {
	failing := m.drainQueue(ctx, false)
	m.forget(ctx)
	drain, forget := time.Tick(drainEvery), time.Tick(forgetTryEvery)
	for {
		select {
		case <-ctx.Done():
			return
		case <-drain:
			failing = m.drainQueue(ctx, failing)
		case <-forget:
			m.forget(ctx)
		}
	}
}

// drainQueue logs the first of several failures in a row.
func (m *Manager) drainQueue(ctx context.Context, failed bool) (failing bool) {
	stored, err := m.queue.Drain(ctx, func(ctx context.Context, keys []string, reason string) error {
		return m.cfg.Devices.RevokeByKey(ctx, keys, RevokeReason(reason))
	})
	switch {
	case ctx.Err() != nil:
	case err != nil && !failed:
		m.cfg.Log.WarnContext(ctx, "queued session revocations not stored: database unavailable", "cause", err)
	case stored > 0:
		m.cfg.Log.InfoContext(ctx, "queued session revocations stored", "sessions", stored)
	}
	return err != nil
}

func (m *Manager) forget(ctx context.Context) {
	if err := m.cfg.Devices.Forget(ctx, keepPast); err != nil && ctx.Err() == nil {
		m.cfg.Log.WarnContext(ctx, "ended sessions not deleted", "cause", err)
	}
}

// The reasons for which a change of an account revokes its sessions.
const (
	RevokedByPassword RevokeReason = "password" // the password was changed or reset
	RevokedByUndo     RevokeReason = "undo"     // a change of address was undone
	RevokedByDeletion RevokeReason = "deleted"  // the account was deleted
	RevokedByClosing  RevokeReason = "closing"  // the account is to be deleted
)

// Revocations are sessions that a change of an account has revoked, in the
// transaction of that change. They wait there until the session store has deleted
// them, so that no crash and no outage leaves one alive.
type Revocations interface {
	// Waiting returns at most limit keys that the session store has not deleted
	// yet, the oldest first.
	Waiting(ctx context.Context, limit int) ([]string, error)
	// WaitingOf returns those of one person.
	WaitingOf(ctx context.Context, person string) ([]string, error)
	// Removed records that the session store has deleted sessions.
	Removed(ctx context.Context, keys []string) error
}

// revokedAtOnce is the batch size for revocations.
const revokedAtOnce = 100

// Revoke deletes all sessions in list from the session store. It ignores
// cancellation. Errors: ErrUnavailable and list's own; what remains is left for the
// next call.
func (m *Manager) Revoke(ctx context.Context, list Revocations) error {
	ctx = context.WithoutCancel(ctx)
	for {
		keys, err := list.Waiting(ctx, revokedAtOnce)
		if err != nil {
			return err
		}
		if err := m.RevokeKeys(ctx, list, keys); err != nil || len(keys) < revokedAtOnce {
			return err
		}
	}
}

// RevokeKeys deletes the sessions with these keys, which one change has revoked,
// from the session store, however many others wait. It ignores cancellation.
// Errors: see [Manager.Revoke].
func (m *Manager) RevokeKeys(ctx context.Context, list Revocations, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	if err := m.cfg.Store.Delete(ctx, keys...); err != nil {
		return unavailable("revoke sessions", err)
	}
	return list.Removed(ctx, keys)
}

// Two reasons that only a request with the expired session can determine; the device
// store records both as RevokedByTime.
const (
	RevokedByIdleness RevokeReason = "idle"
	RevokedByAge      RevokeReason = "age"
)

// WhyEnded reports whether this request's token belongs to a person's session that has
// ended, and why, "" if that is unknown. It queries the device store by the hash of
// the token, so only the holder of the token learns the reason; the result does not
// distinguish an unknown token from that of a guest's session. Errors: the device
// store's.
func (s *Session) WhyEnded(ctx context.Context) (why RevokeReason, over bool, err error) {
	switch s.reason {
	case Idle:
		return RevokedByIdleness, true, nil
	case TooOld:
		return RevokedByAge, true, nil
	case NotFound:
	default:
		return "", false, nil
	}
	device, err := s.manager.cfg.Devices.FindByKey(ctx, Key(s.token))
	if errors.Is(err, ErrNoDevice) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	now := s.manager.cfg.Now()
	switch {
	case device.RevokeReason != "":
		return device.RevokeReason, true, nil
	case !now.Before(device.ExpiresAt):
		return RevokedByAge, true, nil
	case !device.Remembered && !now.Before(device.CreatedAt.Add(s.manager.cfg.Limits.Idle)):
		// A store drops an idle session automatically. That cannot be distinguished
		// from a store that has lost it.
		return RevokedByIdleness, true, nil
	}
	return "", true, nil
}
