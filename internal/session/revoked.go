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
// store has deleted, or queues that if the database is unavailable. Errors:
// ErrNotRecorded if neither is possible.
func (m *Manager) persistRevocation(ctx context.Context, keys []string, why RevokeReason) error {
	failed := m.devices.RevokeByKey(ctx, keys, why)
	if failed == nil {
		return nil
	}
	if err := m.queue.Add(ctx, keys, string(why)); err != nil {
		return fmt.Errorf("%w: %w", ErrNotRecorded, errors.Join(failed, err))
	}
	m.log.WarnContext(ctx, "session revocations queued: database unavailable", "reason", why, "sessions", len(keys), "cause", failed)
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
	drain, forget := time.NewTicker(drainEvery), time.NewTicker(forgetTryEvery)
	defer drain.Stop()
	defer forget.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-drain.C:
			failing = m.drainQueue(ctx, failing)
		case <-forget.C:
			m.forget(ctx)
		}
	}
}

// drainQueue logs the first of several failures in a row.
func (m *Manager) drainQueue(ctx context.Context, failed bool) (failing bool) {
	stored, err := m.queue.Drain(ctx, func(ctx context.Context, keys []string, reason string) error {
		return m.devices.RevokeByKey(ctx, keys, RevokeReason(reason))
	})
	switch {
	case ctx.Err() != nil:
	case err != nil && !failed:
		m.log.WarnContext(ctx, "queued session revocations not stored: database unavailable", "cause", err)
	case stored > 0:
		m.log.InfoContext(ctx, "queued session revocations stored", "sessions", stored)
	}
	return err != nil
}

func (m *Manager) forget(ctx context.Context) {
	if err := m.devices.Forget(ctx, keepPast); err != nil && ctx.Err() == nil {
		m.log.WarnContext(ctx, "ended sessions not deleted", "cause", err)
	}
}
