package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/internal/session/revocation"
	"holdfast/internal/session/store"
)

// Endings are the revocations that a session store must not forget: those among
// the devices, and those that are still queued in dataDir.
func Endings(devices DeviceStore, dataDir string) store.Endings {
	return endings{devices, revocation.NewQueue(dataDir)}
}

type endings struct {
	DeviceStore
	queue *revocation.Queue
}

// EndedSince implements [store.Endings]. Everything in the queue counts: when it
// will be stored is not known. It is read first, since what leaves it meanwhile is
// among the devices by then.
func (e endings) EndedSince(ctx context.Context, since time.Time, yield func(keys []string) error) error {
	if err := e.queue.Each(ctx, yield); err != nil {
		return fmt.Errorf("read queued revocations: %w", err)
	}
	return e.DeviceStore.EndedSince(ctx, since, yield)
}

// persistRevocation stores among the devices how sessions ended that the session
// store no longer has, or queues it while that is impossible. Errors: ErrNotNoted
// when neither is possible.
func (m *Manager) persistRevocation(ctx context.Context, keys []string, why EndReason) error {
	failed := m.devices.EndByKey(ctx, keys, why)
	if failed == nil {
		return nil
	}
	if err := m.queue.Add(ctx, keys, string(why)); err != nil {
		return fmt.Errorf("%w: %w", ErrNotNoted, errors.Join(failed, err))
	}
	m.log.WarnContext(ctx, "session revocations queued: database unavailable", "reason", why, "sessions", len(keys), "cause", failed)
	return nil
}

const (
	// drainEvery is how often queued revocations are tried to be stored.
	drainEvery = time.Second
	// keepPast is how long a person's past sessions are listed.
	keepPast = 90 * 24 * time.Hour
	// forgetTryEvery is how often a server looks whether it is time to forget past
	// sessions; one of all servers does so once a day.
	forgetTryEvery = time.Hour
)

// Maintain stores queued revocations when the database is back, and forgets past
// sessions, until ctx ends.
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
		return m.devices.EndByKey(ctx, keys, EndReason(reason))
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
