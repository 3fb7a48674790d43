package session

import (
	"context"
	"fmt"
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
	// Waiting returns at most limit keys that the store has not let go of yet, the
	// oldest first.
	Waiting(ctx context.Context, limit int) ([]string, error)
	// WaitingOf returns those of a person.
	WaitingOf(ctx context.Context, person string) ([]string, error)
	// Removed notes that the store has let go of sessions.
	Removed(ctx context.Context, keys []string) error
}

// revokedAtOnce is how many revocations are handled in one go.
const revokedAtOnce = 100

// Revoke has the store let go of every session that waits for it. It goes on when
// the caller leaves. Errors: ErrUnavailable and the list's own; what is left waits
// for the next call.
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

// RevokeKeys has the store let go of sessions that wait for it, those that one
// change has ended, however many others wait. It goes on when the caller leaves.
// Errors: as of [Manager.Revoke].
func (m *Manager) RevokeKeys(ctx context.Context, list Revocations, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	if err := m.store.Delete(ctx, keys...); err != nil {
		return fmt.Errorf("end sessions: %w", unavailable(err))
	}
	return list.Removed(ctx, keys)
}
