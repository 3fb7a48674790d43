package session

import (
	"context"
	"fmt"
)

// The reasons for which a change of an account revokes its sessions.
const (
	RevokedByPassword RevokeReason = "password" // the password was changed or reset
	RevokedByUndo     RevokeReason = "undo"     // a change of address was undone
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
	if err := m.store.Delete(ctx, keys...); err != nil {
		return fmt.Errorf("revoke sessions: %w", unavailable(err))
	}
	return list.Removed(ctx, keys)
}
