package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/config"
	"holdfast/internal/database"
	"holdfast/internal/form"
	"holdfast/internal/product"
	"holdfast/internal/session"
	"holdfast/internal/text"
)

// operator is the person at the command line, with people and sessions in
// reach whether or not the web server runs.
type operator struct {
	accounts *account.Service
	sessions *sessions
	base     string // BASE_URL
	in       io.Reader
	out      io.Writer
}

// operate runs one command of an operator, on existing stores, and prints on stderr
// which they are.
func operate(ctx context.Context, command config.Command, cfg config.Config, log *slog.Logger, in io.Reader, out, stderr io.Writer) (err error) {
	// Absolute, because a command may be run in any directory.
	if cfg.DataDir, err = filepath.Abs(cfg.DataDir); err != nil {
		return fmt.Errorf("find DATA_DIR: %w", err)
	}
	db, err := openExisting(ctx, cfg)
	if err != nil {
		return err
	}
	defer closing(&err, db.Close)
	accounts, closeAccounts, err := newAccounts(cfg, db, log)
	if err != nil {
		return err
	}
	defer closing(&err, closeAccounts)
	o := operator{accounts: accounts, base: cfg.BaseURL, in: in, out: out}
	if endsSessions(command.Name) {
		// Opened first: where it cannot be, nothing has been changed yet.
		if o.sessions, err = openRecordedSessions(ctx, cfg, db, log); err != nil {
			return err
		}
		defer closing(&err, o.sessions.Close)
	}
	fmt.Fprintln(stderr, "Database:", db.Name())
	if o.sessions != nil {
		fmt.Fprintln(stderr, "Sessions:", o.sessions.Where())
	}
	users, sessions := command.Users, command.Sessions
	switch command.Name {
	case "users list":
		return o.listUsers(ctx)
	case "users show":
		return o.withPerson(ctx, users.Show.Email, o.showUser)
	case "users add":
		return o.addUser(ctx, users.Add.Name, users.Add.Email)
	case "users disable":
		return o.withPerson(ctx, users.Disable.Email, o.disableUser)
	case "users enable":
		return o.withPerson(ctx, users.Enable.Email, o.enableUser)
	case "users reset-link":
		return o.withPerson(ctx, users.ResetLink.Email, o.resetLink)
	case "sessions list":
		return o.withPerson(ctx, sessions.List.Email, o.listSessions)
	case "sessions end":
		return o.withPerson(ctx, sessions.End.Email, func(ctx context.Context, p account.Person) error {
			return o.endSession(ctx, p, sessions.End.ID)
		})
	case "sessions end-all":
		if sessions.EndAll.Everybody {
			return o.endEverySession(ctx)
		}
		return o.withPerson(ctx, sessions.EndAll.Email, o.endAllSessions)
	default:
		return fmt.Errorf("command %q is not implemented", command.Name)
	}
}

// openExisting opens a database that is there and ready for this version.
func openExisting(ctx context.Context, cfg config.Config) (*database.DB, error) {
	db, err := openDatabase(ctx, cfg, true)
	if errors.Is(err, database.ErrMissing) {
		return nil, fmt.Errorf("%w: run this where the server runs, with its DATA_DIR or DATABASE_URL; %s migrate creates a new one", err, product.Slug)
	}
	if err != nil {
		return nil, err
	}
	if err := db.CheckMigrated(ctx); err != nil {
		if errors.Is(err, database.ErrNotMigrated) {
			err = fmt.Errorf("%s: %w: run %s migrate if it is the right one", db.Name(), err, product.Slug)
		}
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// endsSessions reports whether a command needs the session store.
func endsSessions(name string) bool {
	return strings.HasPrefix(name, "sessions ") || name == "users disable"
}

func (o operator) listUsers(ctx context.Context) error {
	const pageSize = 500
	table := newTable(o.out, "EMAIL", "NAME", "CREATED", "")
	for after := ""; ; {
		people, err := o.accounts.List(ctx, after, pageSize)
		if err != nil {
			return err
		}
		for _, p := range people {
			table.row(p.Email, p.Name, day(p.Created), disabledWord(p))
			after = p.Email
		}
		if len(people) < pageSize {
			return table.Flush()
		}
	}
}

// withPerson calls do with the person who is registered with email.
func (o operator) withPerson(ctx context.Context, email string, do func(context.Context, account.Person) error) error {
	p, err := o.accounts.FindByEmail(ctx, email)
	if errors.Is(err, account.ErrNotFound) {
		return fmt.Errorf("no account with the email address %q", email)
	}
	if err != nil {
		return err
	}
	return do(ctx, p)
}

func (o operator) showUser(_ context.Context, p account.Person) error {
	table := newTable(o.out)
	table.row("id", p.ID)
	table.row("name", p.Name)
	table.row("email", p.Email)
	table.row("created", day(p.Created))
	if p.Disabled {
		table.row("status", disabledWord(p))
	}
	return table.Flush()
}

// addUser reads the password from the first line of the standard input: a flag
// could be read in the list of processes.
func (o operator) addUser(ctx context.Context, name, email string) error {
	fmt.Fprintln(o.out, "Password:")
	line, err := bufio.NewReader(o.in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read password: %w", err)
	}
	p, err := o.accounts.Register(ctx, account.Registration{
		Name: name, Email: email, Password: strings.TrimRight(line, "\r\n"),
	})
	var problems form.Errors
	if errors.As(err, &problems) {
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

func (o operator) disableUser(ctx context.Context, p account.Person) error {
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

func (o operator) enableUser(ctx context.Context, p account.Person) error {
	if _, err := o.accounts.SetDisabled(ctx, p.ID, false); err != nil {
		return err
	}
	return o.say("Enabled %s.\n", p.Email)
}

// resetLink prints a link with which a person chooses a new password, for servers
// that send no email.
func (o operator) resetLink(ctx context.Context, p account.Person) error {
	// For no address: no email shows that it is the person's.
	token, err := o.accounts.MakeLink(ctx, account.PurposeReset, p.ID, "")
	if err != nil {
		return err
	}
	if err := o.accounts.Audit(ctx, p.ID, account.EventResetAsked, text.Sender{UserAgent: "holdfast users reset-link"}); err != nil {
		return err
	}
	return o.say("%s/reset?token=%s\nValid for %d minutes, for one use. Send it only to %s.\n",
		o.base, token, account.ResetLife/time.Minute, p.Email)
}

func (o operator) listSessions(ctx context.Context, p account.Person) error {
	devices, err := o.sessions.Devices(ctx, p.ID)
	if err != nil {
		return err
	}
	table := newTable(o.out, "ID", "SINCE", "LAST SEEN", "ADDRESS", "BROWSER")
	for _, d := range devices {
		table.row(d.ID, second(d.CreatedAt), second(d.LastSeenAt), d.Address, d.UserAgent)
	}
	return table.Flush()
}

func (o operator) endSession(ctx context.Context, p account.Person, id string) error {
	if err := o.sessions.RevokeDevice(ctx, p.ID, id, session.RevokedByOperator); err != nil {
		return err
	}
	return o.say("Revoked session %s.\n", id)
}

func (o operator) endAllSessions(ctx context.Context, p account.Person) error {
	ended, err := o.sessions.RevokeAllOf(ctx, p.ID, session.RevokedByOperator)
	return o.sayEnded(ended, err)
}

func (o operator) endEverySession(ctx context.Context) error {
	ended, err := o.sessions.RevokeAll(ctx, session.RevokedByOperator, func(marked int) {
		fmt.Fprintf(o.out, "Revoking: %d devices so far\n", marked)
	})
	return o.sayEnded(ended, err)
}

func (o operator) sayEnded(ended int, err error) error {
	if err != nil {
		return fmt.Errorf("revoked %d sessions, then failed: %w", ended, err)
	}
	return o.say("Sessions revoked: %d.\n", ended)
}

func (o operator) say(format string, args ...any) error {
	_, err := fmt.Fprintf(o.out, format, args...)
	return err
}

// table lines columns up.
type table struct{ *tabwriter.Writer }

func newTable(out io.Writer, heads ...string) table {
	t := table{tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)}
	if len(heads) > 0 {
		t.row(heads...)
	}
	return t
}

// row writes one line. Control characters of people's making, which a terminal
// would obey, are left out.
func (t table) row(cells ...string) {
	fmt.Fprintln(t, strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, strings.Join(cells, "\t")))
}

func disabledWord(p account.Person) string {
	if p.Disabled {
		return "disabled"
	}
	return ""
}

func day(t time.Time) string    { return t.UTC().Format(time.DateOnly) }
func second(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }
