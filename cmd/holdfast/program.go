package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/config"
	"holdfast/internal/database"
	"holdfast/internal/password"
	"holdfast/internal/reserve"
	"holdfast/internal/session"
	"holdfast/internal/session/store"
	"holdfast/internal/throttle"
	"holdfast/web"
)

// hashWait is how long a login waits for its turn to be hashed before the client is
// asked to try again.
const hashWait = 10 * time.Second

// program is what the server and the operator's commands open. A method with open in
// its name sets the fields of one service, and uses those that are set before it.
type program struct {
	cfg      config.Config
	log      *slog.Logger
	process  web.Process // with the number of the start, on a server
	db       *database.DB
	accounts *account.Service
	sessions *session.Manager
	store    *store.Opened // under sessions
	settings store.Config  // that store was opened with
	reserve  reserve.File  // in DATA_DIR
	learning learning
	closers  []func() error
}

// open opens services in this order, up to the first that fails.
func (p *program) open(ctx context.Context, services ...func(context.Context) error) error {
	for _, open := range services {
		if err := open(ctx); err != nil {
			return err
		}
	}
	return nil
}

// close closes what is open, in reverse order, and adds the errors to err.
func (p *program) close(err *error) {
	for _, closeIt := range slices.Backward(p.closers) {
		*err = errors.Join(*err, closeIt())
	}
}

func (p *program) closeLater(closeIt func() error) { p.closers = append(p.closers, closeIt) }

// openDatabase opens the database, and creates an SQLite one if it is missing.
func (p *program) openDatabase(ctx context.Context) error { return p.connect(ctx, false) }

func (p *program) connect(ctx context.Context, mustExist bool) (err error) {
	p.reserve = reserve.In(p.cfg.DataDir)
	p.db, err = database.Open(ctx, database.Config{
		URL:       p.cfg.DatabaseURL.Reveal(),
		DataDir:   p.cfg.DataDir,
		MaxConns:  p.cfg.DatabasePoolSize,
		Timeout:   p.cfg.DatabaseTimeout,
		MustExist: mustExist,
		DiskFull:  p.reserve.Spend,
	})
	if err == nil {
		p.closeLater(p.db.Close)
	}
	return err
}

func (p *program) openAccounts(context.Context) error {
	policy := password.Policy{MinRunes: p.cfg.PasswordMinLength}
	if p.cfg.BreachedPasswords != "" {
		breached, err := password.OpenBreached(p.cfg.BreachedPasswords)
		if err != nil {
			return fmt.Errorf("BREACHED_PASSWORDS: %w", err)
		}
		p.closeLater(breached.Close)
		policy.Breached = breached
	}
	limiter := throttle.New(p.db.Tries(), nil)
	if p.cfg.Throttle == "off" {
		limiter = nil
	}
	p.accounts = account.New(account.Config{
		Store: p.db.People(), Throttle: limiter, Hasher: newHasher(p.cfg), Policy: policy, Now: time.Now, Log: p.log,
	})
	return nil
}

func newHasher(cfg config.Config) *password.Hasher {
	return password.NewHasher(password.DefaultCost(), cfg.PasswordHashConcurrency, hashWait)
}

// openSessions opens the session store of a server, and creates it if it is missing.
func (p *program) openSessions(ctx context.Context) error { return p.openStore(ctx, nil) }

// openStore opens the session store of a server, or that of a command, which accepts
// it or not. A command has no queue for revocations that the database does not
// accept: no server may ever look into its directory.
func (p *program) openStore(ctx context.Context, accept func(store.Identity) error) (err error) {
	p.settings = store.Config{
		Kind:            p.cfg.SessionStore,
		RedisURL:        p.cfg.RedisURL.Reveal(),
		DataDir:         p.cfg.DataDir,
		Connect:         p.cfg.RedisConnectTimeout,
		Timeout:         p.cfg.RedisTimeout,
		Accept:          accept,
		RevocationLog:   session.RevocationLog(p.db.Devices(), p.cfg.DataDir),
		Belongs:         session.Belongs,
		Postgres:        p.db.Pool(),
		DatabaseName:    p.db.Name(),
		DatabaseTimeout: p.cfg.DatabaseTimeout,
		DiskFull:        p.reserve.Spend,
		Log:             p.log,
	}
	if p.settings.Postgres == nil {
		p.settings.SQLite = p.db.SQL()
	}
	p.learning.observe(&p.settings)
	if p.store, err = store.Open(ctx, p.settings); err != nil {
		return err
	}
	p.closeLater(p.store.Close)
	queueDir := p.cfg.DataDir
	if accept != nil {
		queueDir = ""
	}
	guestBytes := p.cfg.SessionGuestLimit << 10
	if p.cfg.Throttle == "off" {
		guestBytes = 0 // no limit
	}
	p.sessions = session.New(session.Config{
		Store:   p.store,
		Where:   p.store.Where,
		Devices: p.db.Devices(),
		DataDir: queueDir,
		Limits: session.Limits{
			Idle:     p.cfg.SessionIdleTimeout,
			Lifetime: p.cfg.SessionLifetime,
			Remember: p.cfg.SessionRememberLifetime,

			Guest:      p.cfg.SessionGuestIdleTimeout,
			GuestBytes: guestBytes,
		},
		Cookie: p.cfg.SessionCookie,
		Secure: p.cfg.Secure(),
		Start:  p.process.Start,
		Log:    p.log,
	})
	return nil
}
