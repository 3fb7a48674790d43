package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"holdfast/internal/database"
	"holdfast/internal/mail"
	"holdfast/internal/session/store"
	"holdfast/web"
)

const (
	// checkEvery is how often a server checks what others may have changed: the database,
	// the session store and the disk.
	checkEvery = 5 * time.Second
	// reconcileTurn is how long an instance that reconciles sessions may give no sign.
	reconcileTurn = 30 * time.Second
	// cleanupEvery is how often expired rows and files are deleted; the first time
	// soon after the start, for a server that never runs for a day.
	cleanupEvery = 24 * time.Hour
	cleanupFirst = time.Minute

	diskFull    = "the disk is full: only logouts, revocations and deletions are accepted"
	diskHasRoom = "the disk has room again"
)

// startBackground starts what a server does beside answering requests, until ctx
// ends. Closing waits for that, within SHUTDOWN_TIMEOUT: a mail server that hangs does
// not hold up the stop. The email it was sending is sent by the next server.
func (s *server) startBackground(ctx context.Context) error {
	mailer, err := mail.New(mail.Config{
		Outbox: s.db.Outbox(), Accounts: s.accounts, Transport: s.transport, BaseURL: s.cfg.BaseURL,
		Browser: web.BrowserWords, Log: s.log,
	})
	if err != nil {
		return err
	}
	var tasks sync.WaitGroup
	every := func(first, then time.Duration, failed string, do func(context.Context) error) {
		tasks.Go(func() {
			for timer := time.NewTimer(first); ; timer.Reset(then) {
				select {
				case <-ctx.Done():
					return
				case <-timer.C:
				}
				if err := do(ctx); err != nil {
					s.log.WarnContext(ctx, failed, "cause", err)
				}
			}
		})
	}
	if !s.flags.Uncounted {
		every(checkEvery, checkEvery, "session store not recorded", s.recordStoreAgain)
	}
	if s.cfg.SessionStore != store.KindDatabase {
		every(0, checkEvery, "sessions not reconciled", s.reconcile)
	}
	tasks.Go(func() { mailer.Run(ctx) })
	tasks.Go(func() { s.sessions.Maintain(ctx) })
	// The request that revokes sessions also deletes them; this is for those it could not.
	every(checkEvery, checkEvery, "revoked sessions not yet deleted from the store", func(ctx context.Context) error {
		return s.sessions.Revoke(ctx, s.db.Revocations())
	})
	every(cleanupFirst, cleanupEvery, "cleanup failed", s.db.Tidy)
	if s.diskFull != nil {
		full := s.diskFull() // said already
		every(checkEvery, checkEvery, "", func(context.Context) error {
			err := s.reserve.Keep()
			switch {
			case err != nil && !full:
				s.log.Warn(diskFull, "cause", err)
			case err == nil && full:
				s.log.Info(diskHasRoom)
			}
			full = err != nil
			return nil
		})
	}
	if s.folder != nil {
		every(cleanupFirst, cleanupEvery, "old email files not deleted", func(ctx context.Context) error {
			return s.folder.Prune(ctx, time.Now())
		})
	}
	s.closeLater(func() error {
		done := make(chan struct{})
		go func() { tasks.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(s.cfg.ShutdownTimeout):
		}
		return nil
	})
	return nil
}

// recordStore records for commands which store this server uses.
func (s *server) recordStore(ctx context.Context) error {
	if s.flags.Uncounted {
		return nil
	}
	identity, err := s.store.Mark(ctx)
	if err != nil {
		// A store that accepts no writes still serves the sessions in it.
		s.log.WarnContext(ctx, "session store recorded by its place alone", "cause", err)
	}
	s.recorded = database.SessionStore(identity)
	return s.db.RecordSessionStore(ctx, s.recorded)
}

// recordStoreAgain records the store again if it has another ID by now, because it was
// emptied, or an older version of its data was restored.
func (s *server) recordStoreAgain(ctx context.Context) error {
	identity, err := s.store.Mark(ctx)
	now := database.SessionStore(identity)
	if err == nil && now != s.recorded && s.db.ReplaceSessionStore(ctx, s.recorded, now) == nil {
		s.recorded = now
	}
	return nil // a store or database that is down is logged when it is needed
}

// reconcile notices that the database lost data, and reconciles the sessions with it,
// at one instance. The session store keeps the last position seen of the database
// until that is done. It is read first, so that a database behind it has lost data.
func (s *server) reconcile(ctx context.Context) error {
	seen, err := s.store.Database(ctx)
	if err != nil {
		return nil // a store or database that is down is logged when it is needed
	}
	now, err := s.db.Position(ctx)
	if err != nil {
		return nil
	}
	if !now.Lost(seen) {
		// Only the position that was compared advances, so that older data keeps its own.
		if now, err = s.db.AdvancePosition(ctx, now); err == nil {
			_ = s.store.RecordDatabase(ctx, now.String()) // or the next time
		}
		return nil
	}
	if claimed, err := s.db.ClaimReconciling(ctx, reconcileTurn); err != nil || !claimed {
		return err
	}
	s.log.WarnContext(ctx, "database lost data, reconciling sessions", "position", now.String(), "seen", seen)
	done, err := s.sessions.Reconcile(ctx, func(ctx context.Context, yield func([]string) error) error {
		return s.store.Keys(ctx, func(keys []string) error {
			_, err := s.db.ClaimReconciling(ctx, 0)
			return errors.Join(err, yield(keys))
		})
	}, s.db.Revocations())
	if err == nil {
		err = s.store.RecordDatabase(ctx, now.String())
	}
	if err != nil {
		return err
	}
	s.log.InfoContext(ctx, "sessions reconciled", "listed", done.Restored, "revoked", done.Revoked)
	return nil
}
