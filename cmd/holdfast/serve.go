package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/config"
	"holdfast/internal/database"
	"holdfast/internal/mail"
	"holdfast/internal/password"
	"holdfast/internal/product"
	"holdfast/web"
)

// hashWait is how long a log-in waits for its turn to be hashed before it is
// asked to come back.
const hashWait = 10 * time.Second

// serve opens the stores and answers requests from listener until ctx ends, or
// until the server is to be replaced: then it returns its socket for the
// successor, which still listens, with nothing in flight and nothing else open.
func serve(ctx context.Context, cfg config.Config, flags config.Serve, listener *net.TCPListener, log *slog.Logger, stdout io.Writer) (kept *socket, err error) {
	started := time.Now()
	defer listener.Close()
	run, end := context.WithCancel(ctx)
	defer end()

	db, err := openDatabase(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.Migrate(ctx); err != nil {
		return nil, fmt.Errorf("migrate %s: %w", db.Name(), err)
	}
	process := web.Process{ID: os.Getpid(), Started: started}
	if flags.Uncounted {
		process.Start, err = db.LatestStart(ctx)
	} else {
		process.Start, err = db.RecordStart(ctx, database.Start{Instance: instance(), Version: version(), At: started})
	}
	if err != nil {
		return nil, err
	}
	sessions, err := openSessions(ctx, cfg, db, process.Start, log)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, sessions.Close()) }()
	recordAgain := func() {}
	if !flags.Uncounted {
		if recordAgain, err = recordStore(run, sessions.store, db, log); err != nil {
			return nil, err
		}
	}
	metrics, err := openMetrics(ctx, cfg.MetricsAddr, log)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, metrics.close()) }()
	accounts, closeAccounts, err := newAccounts(cfg, db)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeAccounts()) }()
	way, err := wayOfMail(cfg, log)
	if err != nil {
		return nil, err
	}
	replacing := &replacing{listener: listener, end: end, log: log}
	check := newCheck(run, cfg, flags.LabSessions, log)
	if cfg.Learn() {
		check.sweep()
	}
	defer func() { err = errors.Join(err, check.close(cfg.ShutdownTimeout)) }()
	base, err := url.Parse(cfg.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("parse BASE_URL: %w", err)
	}
	second, err := newSecond(cfg, base)
	if err != nil {
		return nil, err
	}
	defer second.Close()
	site, err := newSite(cfg, base, db, accounts, sessions, way, process, metrics, web.Lab{
		Restart: replacing.restart,
		StartOf: startOf(db),
		Check:   check,
		Second:  second,
	}, log)
	if err != nil {
		return nil, err
	}
	var maintained sync.WaitGroup
	maintained.Go(func() { sessions.Maintain(run) })
	maintained.Go(func() { every(run, recordEvery, recordEvery, recordAgain) })
	defer func() { end(); maintained.Wait() }()
	finish, err := inBackground(run, cfg, db, accounts, sessions.Manager, way, log)
	if err != nil {
		return nil, err
	}
	defer func() { end(); finish() }()
	announce(stdout, cfg, db, sessions, process, metrics)
	followed := func() bool { return replacing.socket.Load() != nil }
	err = newServer(site, site.AlwaysSent(), log).serve(run, listener, cfg.ShutdownTimeout, followed)
	return replacing.socket.Load(), err
}

func openDatabase(ctx context.Context, cfg config.Config) (*database.DB, error) {
	return database.Open(ctx, databaseSettings(cfg))
}

func databaseSettings(cfg config.Config) database.Config {
	return database.Config{
		URL:      cfg.DatabaseURL.Reveal(),
		DataDir:  cfg.DataDir,
		MaxConns: cfg.DatabasePoolSize,
		Timeout:  cfg.DatabaseTimeout,
	}
}

func newSite(cfg config.Config, base *url.URL, db *database.DB, accounts *account.Service, sessions *sessions, way mail.Way, process web.Process, metrics *metrics, lab web.Lab, log *slog.Logger) (*web.Site, error) {
	lab.Attacks = newAttacks(cfg, base, accounts, sessions, log)
	return web.New(web.Config{
		Accounts:       accounts,
		Sessions:       sessions.Manager,
		Revocations:    db.Revocations(),
		Throttle:       newThrottle(cfg, db),
		MailOn:         cfg.SMTPURL != "",
		Mails:          shownMails(cfg, base, way),
		OneStep:        sessions.store.OneStep,
		ByHand:         sessions.byHand,
		Ready:          db.Ping,
		Warnings:       sessions.store.Warnings,
		Log:            log,
		Answered:       metrics.count,
		Now:            time.Now,
		BaseURL:        base,
		TrustedProxies: cfg.TrustedProxies,
		MinPassword:    cfg.PasswordMinLength,
		RememberFor:    cfg.SessionRememberLifetime,
		Learn:          cfg.Learn(),
		Version:        version(),
		Process:        process,
		SessionStore:   cfg.SessionStore,
		Lab:            lab,
	})
}

// newAccounts makes the service, and a function that lets go of what it opened.
func newAccounts(cfg config.Config, db *database.DB) (*account.Service, func() error, error) {
	policy := password.Policy{MinRunes: cfg.PasswordMinLength}
	closing := func() error { return nil }
	if cfg.BreachedPasswords != "" {
		breached, err := password.OpenBreached(cfg.BreachedPasswords)
		if err != nil {
			return nil, nil, fmt.Errorf("BREACHED_PASSWORDS: %w", err)
		}
		policy.Breached, closing = breached, breached.Close
	}
	return account.New(db.People(), newHasher(cfg), policy, time.Now), closing, nil
}

func newHasher(cfg config.Config) *password.Hasher {
	return password.NewHasher(password.DefaultCost(), cfg.PasswordHashConcurrency, hashWait)
}

// announce tells who started it where to look.
func announce(stdout io.Writer, cfg config.Config, db *database.DB, sessions *sessions, process web.Process, metrics *metrics) {
	fmt.Fprintf(stdout, "%s %s, start %d\n  open      %s\n  sessions  %s\n  people    %s\n",
		product.Name, version(), process.Start, cfg.BaseURL, sessions.Where(), db.Name())
	if metrics != nil {
		fmt.Fprintf(stdout, "  metrics   %s\n", metrics.at)
	}
}

// startOf finds an earlier start of this or another server.
func startOf(db *database.DB) func(context.Context, int64) (web.Process, error) {
	return func(ctx context.Context, number int64) (web.Process, error) {
		start, err := db.StartOf(ctx, number)
		if err != nil {
			return web.Process{}, err
		}
		_, text, _ := strings.Cut(start.Instance, "/")
		id, err := strconv.Atoi(text)
		if err != nil {
			return web.Process{}, fmt.Errorf("read process id of start %d: %w", number, err)
		}
		return web.Process{ID: id, Start: number, Started: start.At}, nil
	}
}

// instance tells running processes apart in the table of starts.
func instance() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return host + "/" + strconv.Itoa(os.Getpid())
}
