package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/config"
	"holdfast/internal/database"
	"holdfast/internal/httpserver"
	"holdfast/internal/mail"
	"holdfast/internal/password"
	"holdfast/internal/product"
	"holdfast/internal/session/store"
	"holdfast/internal/throttle"
	"holdfast/web"
)

// hashWait is how long a login waits for its turn to be hashed before the client is
// asked to try again.
const hashWait = 10 * time.Second

// serve opens the services, one after the other, and answers requests on listener
// until ctx ends. Then no request is in flight and everything is closed.
func serve(ctx context.Context, cfg config.Config, flags config.Serve, listener *httpserver.Listener, log *slog.Logger, stdout io.Writer) (err error) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	db, err := openDatabase(ctx, cfg, false)
	if err != nil {
		return err
	}
	defer closing(&err, db.Close)
	process, err := migrateAndStart(ctx, db, flags)
	if err != nil {
		return err
	}
	teaching := &learning{}
	sessions, err := openSessions(ctx, cfg, db, process.Start, teaching, log)
	if err != nil {
		return err
	}
	defer closing(&err, sessions.Close)
	metrics, err := openMetrics(ctx, cfg.MetricsAddr, log)
	if err != nil {
		return err
	}
	defer closing(&err, metrics.close)
	accounts, closeAccounts, err := newAccounts(cfg, db, log)
	if err != nil {
		return err
	}
	defer closing(&err, closeAccounts)
	transport, err := mailTransport(cfg, log)
	if err != nil {
		return err
	}
	base, err := url.Parse(cfg.BaseURL)
	if err != nil {
		return fmt.Errorf("parse BASE_URL: %w", err)
	}
	extensions, closeExtensions, err := teaching.open(ctx, cfg, flags, base, listener, db, accounts, sessions, log)
	if err != nil {
		return err
	}
	defer closing(&err, closeExtensions)
	site, err := newSite(cfg, base, db, accounts, sessions, transport, process, metrics, extensions, log)
	if err != nil {
		return err
	}
	wait, err := startBackground(ctx, cfg, flags, db, accounts, sessions, transport, log)
	if err != nil {
		return err
	}
	defer func() { end(); wait() }()
	announce(stdout, cfg, db, sessions, process, metrics)
	return httpserver.New(site, site.AlwaysSent(), log).Serve(ctx, listener, cfg.ShutdownTimeout)
}

// closing adds the error of closing something to err.
func closing(err *error, closeIt func() error) { *err = errors.Join(*err, closeIt()) }

// rehearse opens everything that serve does, except the socket and stores that
// belong to one process: whether a new version starts.
func rehearse(ctx context.Context, cfg config.Config, log *slog.Logger) (err error) {
	if err := checkTemplates(cfg); err != nil {
		return err
	}
	db, err := openDatabase(ctx, cfg, false)
	if err != nil {
		return err
	}
	defer closing(&err, db.Close)
	if cfg.SessionStore != store.KindRedis || cfg.RedisURL == "" {
		return nil
	}
	sessions, err := openSessions(ctx, cfg, db, 0, &learning{}, log)
	if err != nil {
		return err
	}
	return sessions.Close()
}

func openDatabase(ctx context.Context, cfg config.Config, mustExist bool) (*database.DB, error) {
	return database.Open(ctx, database.Config{
		URL:       cfg.DatabaseURL.Reveal(),
		DataDir:   cfg.DataDir,
		MaxConns:  cfg.DatabasePoolSize,
		Timeout:   cfg.DatabaseTimeout,
		MustExist: mustExist,
	})
}

// migrateAndStart migrates the database, and records this start in it unless the
// flags say otherwise.
func migrateAndStart(ctx context.Context, db *database.DB, flags config.Serve) (web.Process, error) {
	process := web.Process{ID: os.Getpid(), Started: time.Now()}
	if _, err := db.Migrate(ctx); err != nil {
		return process, fmt.Errorf("migrate %s: %w", db.Name(), err)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	if flags.Uncounted {
		process.Start, err = db.LatestStart(ctx)
	} else {
		instance := host + "/" + strconv.Itoa(process.ID)
		process.Start, err = db.RecordStart(ctx, database.Start{Instance: instance, Version: version(), At: process.Started})
	}
	return process, err
}

func newSite(cfg config.Config, base *url.URL, db *database.DB, accounts *account.Service, sessions *sessions, transport mail.Transport, process web.Process, metrics *metrics, extensions []web.Extension, log *slog.Logger) (*web.Site, error) {
	return web.New(web.Config{
		Accounts:       accounts,
		Sessions:       sessions.Manager,
		Revocations:    db.Revocations(),
		MailOn:         cfg.SMTPURL != "",
		Mails:          shownMail(cfg, transport),
		Ready:          db.Ping,
		Warnings:       sessions.store.Warnings,
		Log:            log,
		Answered:       metrics.count,
		Now:            time.Now,
		BaseURL:        base,
		TrustedProxies: cfg.TrustedProxies,
		MinPassword:    cfg.PasswordMinLength,
		RememberFor:    cfg.SessionRememberLifetime,
		NamePlaces:     cfg.Learn(),
		Version:        version(),
		Process:        process,
		SessionStore:   cfg.SessionStore,
		Extensions:     extensions,
	})
}

// newAccounts returns the service and a function that closes what it opened.
func newAccounts(cfg config.Config, db *database.DB, log *slog.Logger) (*account.Service, func() error, error) {
	policy := password.Policy{MinRunes: cfg.PasswordMinLength}
	closeAll := func() error { return nil }
	if cfg.BreachedPasswords != "" {
		breached, err := password.OpenBreached(cfg.BreachedPasswords)
		if err != nil {
			return nil, nil, fmt.Errorf("BREACHED_PASSWORDS: %w", err)
		}
		policy.Breached, closeAll = breached, breached.Close
	}
	limiter := throttle.New(db.Tries(), time.Now)
	if cfg.Throttle == "off" {
		limiter = nil
	}
	return account.New(account.Config{
		Store: db.People(), Throttle: limiter, Hasher: newHasher(cfg), Policy: policy, Now: time.Now, Log: log,
	}), closeAll, nil
}

func newHasher(cfg config.Config) *password.Hasher {
	return password.NewHasher(password.DefaultCost(), cfg.PasswordHashConcurrency, hashWait)
}

// announce prints where to find the server.
func announce(stdout io.Writer, cfg config.Config, db *database.DB, sessions *sessions, process web.Process, metrics *metrics) {
	fmt.Fprintf(stdout, "%s %s, server start %d\n  url       %s\n  sessions  %s\n  database  %s\n",
		product.Name, version(), process.Start, cfg.BaseURL, sessions.Where(), db.Name())
	if metrics != nil {
		fmt.Fprintf(stdout, "  metrics   %s\n", metrics.at)
	}
}
