package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/config"
	"holdfast/internal/database"
	"holdfast/internal/mail"
	"holdfast/web"
)

const (
	// revokeEvery is how often sessions that a change of an account has revoked are
	// looked for in the store, after the request that revoked them has done so.
	revokeEvery = 5 * time.Second
	// recordEvery is how often a server checks whether its store has lost its ID.
	recordEvery = 5 * time.Second
	// cleanupEvery is how often expired rows and files are deleted; the first time
	// soon after the start, for a server that never runs for a day.
	cleanupEvery = 24 * time.Hour
	cleanupFirst = time.Minute
)

// startBackground starts what a server does beside answering requests, until ctx
// ends. The function it returns waits for that, within SHUTDOWN_TIMEOUT: a mail
// server that hangs does not hold up the stop. The email it was sending is sent by
// the next server.
func startBackground(ctx context.Context, cfg config.Config, flags config.Serve, db *database.DB, accounts *account.Service, sessions *sessions, transport mail.Transport, log *slog.Logger) (wait func(), err error) {
	mailer, err := mail.New(mail.Config{
		Outbox: db.Outbox(), Accounts: accounts, Transport: transport, BaseURL: cfg.BaseURL,
		Browser: web.BrowserWords, Log: log,
	})
	if err != nil {
		return nil, err
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
					log.WarnContext(ctx, failed, "cause", err)
				}
			}
		})
	}
	if !flags.Uncounted {
		again, err := recordStore(ctx, sessions.store, db, log)
		if err != nil {
			return nil, err
		}
		every(recordEvery, recordEvery, "session store not recorded", again)
	}
	tasks.Go(func() { mailer.Run(ctx) })
	tasks.Go(func() { sessions.Maintain(ctx) })
	every(revokeEvery, revokeEvery, "revoked sessions not yet deleted from the store", func(ctx context.Context) error {
		return sessions.Revoke(ctx, db.Revocations())
	})
	every(cleanupFirst, cleanupEvery, "cleanup failed", db.Tidy)
	if folder, ok := transport.(*mail.Folder); ok {
		every(cleanupFirst, cleanupEvery, "old email files not deleted", func(ctx context.Context) error {
			return folder.Prune(ctx, time.Now())
		})
	}
	return func() {
		done := make(chan struct{})
		go func() { tasks.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(cfg.ShutdownTimeout):
		}
	}, nil
}

// mailTransport is a mail server if one is set, and otherwise a directory.
func mailTransport(cfg config.Config, log *slog.Logger) (mail.Transport, error) {
	if cfg.SMTPURL != "" {
		return mail.NewSMTP(cfg.SMTPURL.Reveal(), cfg.MailFrom, nil)
	}
	return mail.NewFolder(filepath.Join(cfg.DataDir, "mail"), cfg.MailFrom, log), nil
}

// shownMail reads the directory for the page /mail, which exists for learning only:
// anyone who can open it can choose a new password for any account. So a server
// that other machines can reach does not have it, whatever LEARN says.
func shownMail(cfg config.Config, transport mail.Transport) func() ([]mail.Shown, error) {
	folder, ok := transport.(*mail.Folder)
	if !ok || !cfg.Learn() || !cfg.LocalOnly() {
		return nil
	}
	return folder.Latest
}
