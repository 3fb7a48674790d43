package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"holdfast/internal/account"
	"holdfast/internal/config"
	"holdfast/internal/database"
	"holdfast/internal/form"
	"holdfast/internal/product"
	"holdfast/internal/session"
	"holdfast/internal/session/store"
	"holdfast/internal/text"
)

// migrate migrates the database to the schema of this version, as serve does at its
// start, and prints what it applied.
func migrate(ctx context.Context, cfg config.Config, stdout io.Writer) (err error) {
	p := &program{cfg: cfg}
	defer p.close(&err)
	if err := p.openDatabase(ctx); err != nil {
		return err
	}
	applied, err := p.db.Migrate(ctx)
	if err != nil {
		return err
	}
	for _, name := range applied {
		fmt.Fprintf(stdout, "Applied %s.\n", name)
	}
	_, err = fmt.Fprintf(stdout, "%s is up to date.\n", p.db.Name())
	return err
}

// operator is the person at the command line, with people and sessions in
// reach whether or not the web server runs.
type operator struct {
	program
	in  io.Reader
	out io.Writer
}

// operate runs one command of an operator, on existing stores, and prints on stderr
// which they are.
func operate(ctx context.Context, command config.Command, cfg config.Config, log *slog.Logger, in io.Reader, out, stderr io.Writer) (err error) {
	// Absolute, because a command may be run in any directory.
	if cfg.DataDir, err = filepath.Abs(cfg.DataDir); err != nil {
		return fmt.Errorf("find DATA_DIR: %w", err)
	}
	o := &operator{program{cfg: cfg, log: log}, in, out}
	defer o.close(&err)
	services := []func(context.Context) error{o.openExisting, o.openAccounts}
	if strings.HasPrefix(command.Name, "sessions ") || command.Name == "users disable" {
		// Before the command changes anything: it may be the wrong store.
		services = append(services, o.openRecordedStore)
	}
	if err := o.open(ctx, services...); err != nil {
		return err
	}
	fmt.Fprintln(stderr, "Database:", o.db.Name())
	if o.sessions != nil {
		fmt.Fprintln(stderr, "Sessions:", o.sessions.Where())
	}
	return o.run(ctx, command)
}

func (o *operator) run(ctx context.Context, command config.Command) error {
	users, sessions := command.Users, command.Sessions
	switch {
	case command.Name == "users list":
		return o.listUsers(ctx)
	case command.Name == "users add":
		return o.addUser(ctx, users.Add.Name, users.Add.Email)
	case command.Name == "sessions reconcile":
		if _, err := o.db.Position(ctx); err != nil { // a replica, or a restore that is not complete
			return err
		}
		done, err := o.sessions.Reconcile(ctx, o.store.Keys, o.db.Revocations())
		if err != nil {
			return err
		}
		return o.say("Sessions listed again: %d. Sessions revoked: %d.\n", done.Restored, done.Revoked)
	case sessions.EndAll.Everybody:
		ended, err := o.sessions.RevokeAll(ctx, session.RevokedByOperator, func(marked int) {
			fmt.Fprintf(o.out, "Revoking: %d devices so far\n", marked)
		})
		return o.sayRevoked(ended, err)
	}
	// The others are about one person. The flags of commands that were not given are empty.
	email := cmp.Or(users.Show.Email, users.Disable.Email, users.Enable.Email, users.ResetLink.Email,
		sessions.List.Email, sessions.End.Email, sessions.EndAll.Email)
	p, err := o.accounts.FindByEmail(ctx, email)
	if errors.Is(err, account.ErrNotFound) {
		return fmt.Errorf("no account with the email address %q", email)
	}
	if err != nil {
		return err
	}
	switch command.Name {
	case "users show":
		return o.showUser(p)
	case "users disable":
		return o.disableUser(ctx, p)
	case "users enable":
		if _, err := o.accounts.SetDisabled(ctx, p.ID, false); err != nil {
			return err
		}
		return o.say("Enabled %s.\n", p.Email)
	case "users reset-link":
		return o.resetLink(ctx, p)
	case "sessions list":
		return o.listSessions(ctx, p)
	case "sessions end":
		if err := o.sessions.RevokeDevice(ctx, p.ID, sessions.End.ID, session.RevokedByOperator); err != nil {
			return err
		}
		return o.say("Revoked session %s.\n", sessions.End.ID)
	case "sessions end-all":
		ended, err := o.sessions.RevokeAllOf(ctx, p.ID, session.RevokedByOperator)
		return o.sayRevoked(ended, err)
	default:
		return fmt.Errorf("unknown command %q", command.Name)
	}
}

// openExisting opens a database that is there and ready for this version.
func (o *operator) openExisting(ctx context.Context) error {
	err := o.connect(ctx, true)
	if errors.Is(err, database.ErrMissing) {
		return fmt.Errorf("%w: run this where the server runs, with its DATA_DIR or DATABASE_URL; %s migrate creates a new one", err, product.Slug)
	}
	if err != nil {
		return err
	}
	_, err = o.db.CheckMigrated(ctx)
	if errors.Is(err, database.ErrNotMigrated) {
		return fmt.Errorf("%s: %w: run %s migrate if it is the right one", o.db.Name(), err, product.Slug)
	}
	return err
}

// openRecordedStore opens the session store if it is the one that the server recorded.
// Before a server has recorded one, any existing store is accepted.
func (o *operator) openRecordedStore(ctx context.Context) error {
	record, recorded, err := o.db.RecordedSessionStore(ctx)
	if err != nil {
		return err
	}
	servers := store.Identity(record)
	if o.cfg.SessionStore == store.KindMemory && (!recorded || servers.Kind == store.KindMemory) {
		return errors.New("sessions cannot be managed from the command line with SESSION_STORE=memory: they are in the server's memory; stop the server to end them all")
	}
	elsewhere := ""
	if recorded {
		elsewhere = fmt.Sprintf("; the server keeps sessions in %s, as it recorded in %s", servers.Place, o.db.Name())
	}
	err = o.openStore(ctx, func(given store.Identity) error {
		switch {
		case !recorded || given.Same(servers):
			return nil
		case given.Place == servers.Place:
			return fmt.Errorf("%s holds different data than when the server last recorded it: start the server, which records the store it uses", given.Place)
		default:
			return fmt.Errorf("this command was given %s%s: run it with the server's settings, or start the server if it has moved", given.Place, elsewhere)
		}
	})
	if errors.Is(err, store.ErrMissing) {
		return fmt.Errorf("%w%s", err, elsewhere)
	}
	return err
}

func (o *operator) listUsers(ctx context.Context) error {
	const pageSize = 500
	rows := [][]string{{"EMAIL", "NAME", "CREATED", ""}}
	for after := ""; ; {
		people, next, err := o.accounts.List(ctx, after, pageSize)
		if err != nil {
			return err
		}
		for _, p := range people {
			rows = append(rows, []string{p.Email, p.Name, day(p.Created), status(p)})
		}
		if len(people) < pageSize {
			return o.table(rows)
		}
		after = next
	}
}

func (o *operator) showUser(p account.Person) error {
	rows := [][]string{{"id", p.ID}, {"name", p.Name}, {"email", p.Email}, {"created", day(p.Created)}}
	if p.Disabled {
		rows = append(rows, []string{"status", status(p)})
	}
	return o.table(rows)
}

// readPassword reads a password from the first line of the standard input: a flag
// could be read in the list of processes. A terminal does not show what is typed.
func (o *operator) readPassword(ctx context.Context) (string, error) {
	fmt.Fprintln(o.out, "Password:")
	if file, ok := o.in.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return typedPassword(ctx, int(file.Fd()))
	}
	line, err := bufio.NewReader(o.in).ReadString('\n')
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return strings.TrimRight(strings.TrimPrefix(line, "\ufeff"), "\r\n"), err // without a byte order mark
}

// typedPassword reads a line that the terminal does not show. If ctx ends before it is
// typed, the terminal shows again what is typed.
func typedPassword(ctx context.Context, terminal int) (string, error) {
	before, err := term.GetState(terminal)
	if err != nil {
		return "", err
	}
	var typed []byte
	done := make(chan struct{})
	go func() {
		defer close(done)
		typed, err = term.ReadPassword(terminal)
	}()
	select {
	case <-done:
		return string(typed), err
	case <-ctx.Done():
		return "", errors.Join(ctx.Err(), term.Restore(terminal, before))
	}
}

func (o *operator) addUser(ctx context.Context, name, email string) error {
	password, err := o.readPassword(ctx)
	if err != nil {
		return fmt.Errorf("read password: %w", err)
	}
	p, err := o.accounts.Register(ctx, account.Registration{Name: name, Email: email, Password: password})
	if problems, ok := errors.AsType[form.Errors](err); ok {
		var all []string
		for _, problem := range problems {
			all = append(all, problem.Field+": "+problem.Message)
		}
		return errors.New(strings.Join(all, "\n  "))
	}
	if err != nil {
		return err
	}
	return o.say("Added %s <%s>.\n", p.Name, p.Email)
}

func (o *operator) disableUser(ctx context.Context, p account.Person) error {
	// First no new logins, then no old ones: see the ledger's Open.
	if _, err := o.accounts.SetDisabled(ctx, p.ID, true); err != nil {
		return err
	}
	ended, err := o.sessions.RevokeAllOf(ctx, p.ID, session.RevokedByDisable)
	if err != nil {
		return fmt.Errorf("%s is disabled, but some sessions could not be revoked; run this command again: %w", p.Email, err)
	}
	return o.say("Disabled %s. Sessions revoked: %d.\n", p.Email, ended)
}

// resetLink prints a link with which a person chooses a new password, for servers
// that send no email.
func (o *operator) resetLink(ctx context.Context, p account.Person) error {
	// For no address: no email shows that it is the person's.
	token, err := o.accounts.MakeLink(ctx, account.PurposeReset, p.ID, "")
	if err != nil {
		return err
	}
	if err := o.accounts.Audit(ctx, p.ID, account.EventResetAsked, text.Sender{UserAgent: "holdfast users reset-link"}); err != nil {
		return err
	}
	return o.say("%s/reset?token=%s\nValid for %d minutes, for one use. Send it only to %s.\n",
		o.cfg.BaseURL, token, account.ResetLife/time.Minute, p.Email)
}

func (o *operator) listSessions(ctx context.Context, p account.Person) error {
	devices, err := o.sessions.Devices(ctx, p.ID)
	if err != nil {
		return err
	}
	rows := [][]string{{"ID", "SINCE", "LAST SEEN", "ADDRESS", "BROWSER"}}
	for _, d := range devices {
		rows = append(rows, []string{d.ID, second(d.CreatedAt), second(d.LastSeenAt), d.Address, d.UserAgent})
	}
	return o.table(rows)
}

func (o *operator) sayRevoked(ended int, err error) error {
	if err != nil {
		return fmt.Errorf("revoked %d sessions, then failed: %w", ended, err)
	}
	return o.say("Sessions revoked: %d.\n", ended)
}

func (o *operator) say(format string, args ...any) error {
	_, err := fmt.Fprintf(o.out, format, args...)
	return err
}

// table writes rows with their columns lined up. Control characters of people's
// making, which a terminal would obey, are left out.
func (o *operator) table(rows [][]string) error {
	w := tabwriter.NewWriter(o.out, 0, 0, 2, ' ', 0)
	for _, cells := range rows {
		fmt.Fprintln(w, strings.Map(func(r rune) rune {
			if r < ' ' && r != '\t' || r == 0x7f {
				return -1
			}
			return r
		}, strings.Join(cells, "\t")))
	}
	return w.Flush()
}

func status(p account.Person) string {
	switch {
	case !p.DeleteAfter.IsZero():
		return "to be deleted after " + day(p.DeleteAfter)
	case p.Disabled:
		return "disabled"
	}
	return ""
}

func day(t time.Time) string    { return t.UTC().Format(time.DateOnly) }
func second(t time.Time) string { return t.UTC().Format(time.DateTime) }
