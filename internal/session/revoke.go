package session

import (
	"context"
	"fmt"
	"time"
)

// The ways a session ends by a change of its person's account.
const (
	EndedByPassword EndReason = "password" // the password was changed or reset
	EndedByUndo     EndReason = "undo"     // a change of address was undone
)

// Revocations are sessions that a change of an account has ended, in the
// transaction of that change. They wait there for the store to let go of them,
// so that no crash and no outage in between leaves one alive.
type Revocations interface {
	// Waiting returns at most limit keys that the store has not let go of yet.
	Waiting(ctx context.Context, limit int) ([]string, error)
	// Removed notes that the store has.
	Removed(ctx context.Context, key string, at time.Time) error
}

// revokedAtOnce is how many revocations are read in one go.
const revokedAtOnce = 100

// Revoke has the store let go of every session that waits for it. It goes on
// when the caller leaves. Errors: ErrUnavailable and the list's own; what is
// left waits for the next call.
func (m *Manager) Revoke(ctx context.Context, list Revocations) error {
	ctx = context.WithoutCancel(ctx)
	for {
		keys, err := list.Waiting(ctx, revokedAtOnce)
		if err != nil {
			return err
		}
		for _, key := range keys {
			if err := m.store.Delete(ctx, key); err != nil {
				return fmt.Errorf("end session: %w", unavailable(err))
			}
			if err := list.Removed(ctx, key, m.now()); err != nil {
				return err
			}
		}
		if len(keys) < revokedAtOnce {
			return nil
		}
	}
}
