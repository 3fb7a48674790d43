package session

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
)

// Reconciled is what [Manager.Reconcile] has done.
type Reconciled struct{ Restored, Revoked int }

// Reconcile gives a device to each session that the device store has lost, because the
// database is an older copy: nothing else could find the session to revoke it. If its
// person is gone or may not log in, the session is revoked. keys passes the keys of all
// sessions, in batches. Reconcile can be repeated, and run at several servers. Errors:
// ErrUnavailable and the device store's; no session is revoked because of one.
func (m *Manager) Reconcile(ctx context.Context, keys func(context.Context, func([]string) error) error, list Revocations) (done Reconciled, err error) {
	err = keys(ctx, func(found []string) error {
		for batch := range slices.Chunk(found, atOnce) {
			if err := m.reconcile(ctx, batch, list, &done); err != nil {
				return err
			}
		}
		return nil
	})
	return done, err
}

// reconcile reads the records before the devices: a login inserts the device first.
func (m *Manager) reconcile(ctx context.Context, keys []string, list Revocations, done *Reconciled) error {
	stored, err := m.cfg.Store.GetMany(ctx, keys)
	if err != nil {
		return unavailable("read sessions", err)
	}
	members, now := map[string]Record{}, m.cfg.Now()
	for i, raw := range stored {
		if record, err := DecodeRecord(raw); err == nil && record.Member != nil && m.cfg.Limits.Live(record, now) {
			members[keys[i]] = record
		}
	}
	unlisted, err := m.cfg.Devices.Unlisted(ctx, slices.Collect(maps.Keys(members)))
	if err != nil {
		return err
	}
	var restored, refused, ended []string
	for _, key := range unlisted {
		r := members[key]
		err := m.cfg.Devices.Restore(ctx, Device{
			ID: cmp.Or(r.Member.Device, newID()), PersonID: r.Member.ID, SessionKey: key, Remembered: r.Member.Remember, CreatedAt: r.CreatedAt, ExpiresAt: r.ExpiresAt,
		}, now)
		switch {
		case errors.Is(err, ErrEnded):
			refused = append(refused, key)
		case err != nil:
			return err
		default:
			restored = append(restored, key)
		}
	}
	if err := m.RevokeKeys(ctx, list, refused); err != nil {
		return err
	}
	done.Revoked += len(refused)
	// One that has ended since it was read had no device then to be marked.
	if stored, err = m.cfg.Store.GetMany(ctx, restored); err != nil {
		return unavailable("read sessions", err)
	}
	for i, raw := range stored {
		if raw == nil {
			ended = append(ended, restored[i])
		}
	}
	done.Restored += len(restored) - len(ended)
	return m.cfg.Devices.RevokeByKey(ctx, ended, RevokedByTime)
}
