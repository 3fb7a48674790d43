package main

import (
	"context"
	"log/slog"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/config"
	"holdfast/internal/database"
	"holdfast/internal/mail"
	"holdfast/internal/session"
	"holdfast/internal/throttle"
	"holdfast/web"
)

const (
	// revokeEvery is how often sessions that a change of an account has ended
	// are looked for in the store, after the request that ended them has.
	revokeEvery = 5 * time.Second
	// tidyEvery is how often what is over is removed; the first time soon after
	// the start, for a server that never runs for a day.
	tidyEvery = 24 * time.Hour
	tidyFirst = time.Minute
)

// inBackground starts what a server does beside answering requests, until ctx
// ends. The function returned waits for that, within SHUTDOWN_TIMEOUT.
func inBackground(ctx context.Context, cfg config.Config, db *database.DB, accounts *account.Service, sessions *session.Manager, way mail.Way, log *slog.Logger) (finish func(), err error) {
	post, err := mail.New(mail.Config{
		Outbox: db.Outbox(), Accounts: accounts, Way: way, BaseURL: cfg.BaseURL,
		Browser: web.BrowserWords, Log: log,
	})
	if err != nil {
		return nil, err
	}
	var all sync.WaitGroup
	all.Go(func() { post.Run(ctx) })
	all.Go(func() {
		every(ctx, revokeEvery, revokeEvery, func() {
			if err := sessions.Revoke(ctx, db.Revocations()); err != nil {
				log.WarnContext(ctx, "ended sessions are still in the store", "cause", err)
			}
		})
	})
	all.Go(func() {
		every(ctx, tidyFirst, tidyEvery, func() {
			if err := db.Tidy(ctx); err != nil {
				log.WarnContext(ctx, "what is over not removed", "cause", err)
			}
			if folder, ok := way.(*mail.Folder); ok {
				if err := folder.Prune(ctx, time.Now()); err != nil {
					log.WarnContext(ctx, "old mail not removed", "cause", err)
				}
			}
		})
	})
	return func() { waitAtMost(cfg.ShutdownTimeout, all.Wait) }, nil
}

// waitAtMost gives up waiting after a limit: a mail server that hangs does not
// hold up the end. The mail that was under way is sent by whoever comes next.
func waitAtMost(limit time.Duration, wait func()) {
	done := make(chan struct{})
	go func() { wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(limit):
	}
}

// every calls do after a first time, and then again and again, until ctx ends.
func every(ctx context.Context, first, then time.Duration, do func()) {
	timer := time.NewTimer(first)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			do()
			timer.Reset(then)
		}
	}
}

// wayOfMail is a mail server where one is set, and otherwise a folder.
func wayOfMail(cfg config.Config, log *slog.Logger) (mail.Way, error) {
	if cfg.SMTPURL != "" {
		return mail.NewSMTP(cfg.SMTPURL.Reveal(), cfg.MailFrom, nil)
	}
	return mail.NewFolder(filepath.Join(cfg.DataDir, "mail"), cfg.MailFrom, log), nil
}

// shownMails reads the folder for the page /mail, which is there for learning
// only: whoever can open it can choose anybody's new password. A server that
// others reach does not have it, whatever LEARN says.
func shownMails(cfg config.Config, base *url.URL, way mail.Way) func() ([]mail.Shown, error) {
	folder, ok := way.(*mail.Folder)
	if !ok || !cfg.Learn() || !thisMachine(base.Hostname()) || !thisMachine(cfg.Host) {
		return nil
	}
	return folder.Latest
}

func thisMachine(host string) bool {
	if host = strings.ToLower(host); host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

func newThrottle(cfg config.Config, db *database.DB) *throttle.Limiter {
	if cfg.Throttle == "off" {
		return nil
	}
	return throttle.New(db.Tries(), time.Now)
}
