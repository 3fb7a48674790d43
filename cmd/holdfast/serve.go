package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"holdfast/internal/config"
	"holdfast/internal/database"
	"holdfast/internal/httpserver"
	"holdfast/internal/mail"
	"holdfast/internal/product"
	"holdfast/internal/session/store"
	"holdfast/web"
)

// server is the program that answers requests.
type server struct {
	program
	flags      config.Serve
	listener   *httpserver.Listener
	base       *url.URL // BASE_URL
	metrics    *metrics
	transport  mail.Transport
	folder     *mail.Folder // the transport, without SMTP_URL
	extensions []web.Extension
	site       *web.Site
	recorded   database.SessionStore // see recordStore
	diskFull   func() bool           // nil if this server stores nothing on its disk
	unwritable []string              // a warning, if DATA_DIR is
}

// serve opens the services, one after the other, and answers requests on listener
// until ctx ends. Then no request is in flight and everything is closed.
func serve(ctx context.Context, cfg config.Config, flags config.Serve, listener *httpserver.Listener, log *slog.Logger, stdout io.Writer) (err error) {
	s := &server{program: program{cfg: cfg, log: log}, flags: flags, listener: listener}
	defer s.close(&err)
	ctx, end := context.WithCancel(ctx)
	defer end() // before s.close, which waits for what runs until then
	if err := s.open(ctx,
		s.openDatabase,
		s.recordStart,
		s.openSessions,
		s.keepReserve,
		s.openMetrics,
		s.openAccounts,
		s.openMail,
		s.openLearning,
		s.openSite,
		s.recordStore,
		s.startBackground,
	); err != nil {
		return err
	}
	s.announce(stdout)
	return httpserver.New(s.site, s.site.AlwaysSent(), cfg.KeepAliveTimeout, log).Serve(ctx, listener, cfg.ShutdownTimeout)
}

// rehearse opens everything that serve does, except the socket and stores that
// belong to one process: whether a new version starts.
func rehearse(ctx context.Context, cfg config.Config, log *slog.Logger) (err error) {
	if err := checkTemplates(cfg); err != nil {
		return err
	}
	p := &program{cfg: cfg, log: log}
	defer p.close(&err)
	services := []func(context.Context) error{p.openDatabase}
	if cfg.SessionStore == store.KindRedis && cfg.RedisURL != "" {
		services = append(services, p.openSessions)
	}
	return p.open(ctx, services...)
}

// recordStart migrates the database, and records this start in it unless the flags say
// otherwise.
func (s *server) recordStart(ctx context.Context) error {
	if _, err := s.db.Migrate(ctx); err != nil {
		return err
	}
	newer, err := s.db.CheckMigrated(ctx)
	if err != nil {
		return err
	}
	if newer {
		s.log.WarnContext(ctx, "the database was migrated by a newer version, which this one can use", "database", s.db.Name())
	}
	s.process = web.Process{ID: os.Getpid(), Started: time.Now()}
	if s.flags.Uncounted {
		s.process.Start, err = s.db.LatestStart(ctx)
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	instance := host + "/" + strconv.Itoa(s.process.ID)
	s.process.Start, err = s.db.RecordStart(ctx, database.Start{Instance: instance, Version: version(), At: s.process.Started})
	return err
}

// keepReserve keeps room for what must be stored when the disk is full, if this server
// stores people or sessions on its disk. Otherwise the disk is needed in an outage, and
// this finds out whether it can be written.
func (s *server) keepReserve(context.Context) error {
	onDisk := s.cfg.DatabaseURL == "" || s.store.Embedded != nil || s.cfg.SessionStore == store.KindFile
	if onDisk {
		s.diskFull = s.reserve.Spent
		if err := s.reserve.Keep(); err != nil {
			s.log.Warn(diskFull, "cause", err)
		}
	} else if err := tryToWrite(s.cfg.DataDir); err != nil {
		s.unwritable = []string{"DATA_DIR cannot be written: users cannot log out while the database is unavailable"}
		s.log.Warn(s.unwritable[0], "cause", err)
	}
	return nil
}

func tryToWrite(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, "written-*")
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}

// openMail opens a mail server if one is set, and otherwise a directory.
func (s *server) openMail(context.Context) (err error) {
	if s.base, err = url.Parse(s.cfg.BaseURL); err != nil {
		return fmt.Errorf("parse BASE_URL: %w", err)
	}
	if s.cfg.SMTPURL != "" {
		s.transport, err = mail.NewSMTP(s.cfg.SMTPURL.Reveal(), s.cfg.MailFrom, s.base.Hostname(), nil)
		return err
	}
	s.folder = mail.NewFolder(filepath.Join(s.cfg.DataDir, "mail"), s.cfg.MailFrom, s.log)
	s.transport = s.folder
	return nil
}

// shownMail reads the directory for the page /mail, which exists for learning only:
// anyone who can open it can choose a new password for any account. So a server
// that other machines can reach does not have it, whatever LEARN says.
func (s *server) shownMail() func() ([]mail.Shown, error) {
	if s.folder == nil || !s.cfg.Learn() || !s.cfg.LocalOnly() {
		return nil
	}
	return s.folder.Latest
}

func (s *server) openSite(context.Context) (err error) {
	s.site, err = web.New(web.Config{
		Accounts:       s.accounts,
		Sessions:       s.sessions,
		Stores:         s.db,
		MailOn:         s.cfg.SMTPURL != "",
		Mails:          s.shownMail(),
		Warnings:       func() []string { return slices.Concat(s.store.Warnings(), s.transport.Warnings(), s.unwritable) },
		DiskFull:       s.diskFull,
		Log:            s.log,
		Answered:       s.metrics.count,
		Now:            time.Now,
		BaseURL:        s.base,
		TrustedProxies: s.cfg.TrustedProxies,
		HSTSSubdomains: s.cfg.HSTSSubdomains == "on",
		MinPassword:    s.cfg.PasswordMinLength,
		NamePlaces:     s.cfg.Learn(),
		Version:        version(),
		Process:        s.process,
		SessionStore:   s.cfg.SessionStore,
		Embedded:       s.store.Embedded != nil,
		Extensions:     s.extensions,
	})
	return err
}

// announce prints where to find the server.
func (s *server) announce(stdout io.Writer) {
	redis := ""
	if socket := s.store.SocketURL(); socket != "" {
		redis = "  redis     " + socket + "\n"
	}
	fmt.Fprintf(stdout, "%s %s, server start %d\n  url       %s\n  sessions  %s\n%s  database  %s\n",
		product.Name, version(), s.process.Start, s.cfg.BaseURL, s.sessions.Where(), redis, s.db.Name())
	if s.metrics != nil {
		fmt.Fprintf(stdout, "  metrics   %s\n", s.metrics.at)
	}
}
