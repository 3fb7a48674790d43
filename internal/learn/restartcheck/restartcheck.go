// Package restartcheck tests in which session stores sessions survive a restart. It
// owns the experiment: it starts the server program as a child process, visits it as
// a browser does, stops and kills it, and measures what sessions cost. It must not
// know how the server works inside: it relies only on the settings, the pages,
// /metrics and what the server announces.
package restartcheck

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast/internal/launch"
	"holdfast/internal/visitor"
)

// Stores are the values of SESSION_STORE, in the order of the report.
func Stores() []string { return []string{"redis", "file", "database", "memory"} }

// JWT is what the report calls a server that has no store: its cookie holds the session
// itself, signed (see [stock.Signed]). It is tested after the stores.
const JWT = "jwt"

// contestants are the rows of the report.
func contestants() []string { return append(Stores(), JWT) }

// Options say what to test.
type Options struct {
	// Executable is the path of the server program.
	Executable string
	// RedisURL and DatabaseURL are the real services to use; empty means the
	// embedded ones, in a temporary directory. Everything the check stores in them
	// is deleted when Run returns, also if it fails.
	RedisURL, DatabaseURL string
	// Notes is a directory in which the check records what it would leave if it were
	// killed, for [Sweep]. It is created if needed.
	Notes string
	// Sessions is how many sessions are created to measure what they cost.
	Sessions int
	// Progress, if set, is called before each step, one call at a time.
	Progress func(store, doing string)
	// Tried, if set, is called with the results for each store as soon as they are
	// known.
	Tried func(Row)
}

// Page views that are timed, after some that are not.
const (
	timedGreetings  = 200
	untimedGreeting = 20
)

// Run tests every store, one after the other, and returns the report. It stops its
// child processes when ctx ends. It returns an error, with the end of the server's
// log, if a store could not be tested; a store that fails the test is not an error
// but part of the report, see [Report.Verdict].
func Run(ctx context.Context, o Options) (Report, error) {
	if o.Sessions < 1 {
		return Report{}, errors.New("--sessions must be at least 1")
	}
	if o.Progress == nil {
		o.Progress = func(string, string) {}
	}
	if o.Tried == nil {
		o.Tried = func(Row) {}
	}
	report := Report{Sessions: o.Sessions}
	if err := Sweep(ctx, o.Notes, o.DatabaseURL); err != nil {
		return report, err
	}
	for _, store := range contestants() {
		row, err := try(ctx, o, store)
		if ctx.Err() != nil {
			return report, fmt.Errorf("stopped early: %w", context.Cause(ctx))
		}
		if err != nil {
			return report, fmt.Errorf("test %s: %w", store, err)
		}
		report.Rows = append(report.Rows, row)
		o.Tried(row)
	}
	return report, nil
}

func try(ctx context.Context, o Options, store string) (row Row, err error) {
	if store == JWT {
		return trySigned(ctx, o)
	}
	where, err := openPlace(ctx, o, store)
	if err != nil {
		return Row{}, err
	}
	defer func() { err = errors.Join(err, where.clear(ctx)) }()
	t := &trial{Options: o, place: where, row: Row{Store: store}, handed: where.remember}
	t.launch = func(ctx context.Context, extra ...string) (server, error) {
		return where.start(ctx, o.Executable, extra...)
	}
	return t.run(ctx, t.time, t.fill)
}

// run takes the steps that every contestant takes, and then some more.
func (t *trial) run(ctx context.Context, more ...func(context.Context) error) (Row, error) {
	defer func() {
		if t.server != nil {
			t.server.Kill()
		}
	}()
	for _, step := range append([]func(context.Context) error{t.logIn, t.outlive, t.share, t.revoke}, more...) {
		if err := step(ctx); err != nil {
			return Row{}, t.withLog(err)
		}
	}
	return t.row, nil
}

// server is a running server.
type server interface {
	URL() string
	Says(name string) string // see [launch.Server.Says]
	Stop() error
	Kill()
	LogTail() string
}

// trial is the test of one store.
type trial struct {
	Options
	place   *place
	launch  func(ctx context.Context, extra ...string) (server, error) // starts a server on the trial's stores
	handed  func(token string)                                         // called with each session token
	cookie  string                                                     // the session cookie's name; "" for that of this program
	row     Row
	server  server // the last one started
	person  visitor.Person
	browser *visitor.Visitor // with the session under test
}

// withLog adds the end of the server's log to an error without it.
func (t *trial) withLog(err error) error {
	if _, ended := errors.AsType[*launch.EndedError](err); t.server == nil || ended {
		return err
	}
	return fmt.Errorf("%w\n%s", err, t.server.LogTail())
}

func (t *trial) progress(format string, args ...any) {
	t.Progress(t.row.Store, fmt.Sprintf(format, args...))
}

// start runs the next server on the trial's stores.
func (t *trial) start(ctx context.Context, extra ...string) error {
	next, err := t.launch(ctx, extra...)
	if err != nil {
		return err
	}
	t.server = next
	if t.browser == nil {
		t.browser = visitor.New(next.URL())
		t.browser.Handed = t.handed
		t.browser.Named = cmp.Or(t.cookie, t.browser.Named)
	}
	t.browser = t.browser.At(next.URL())
	return nil
}

func (t *trial) logIn(ctx context.Context) (err error) {
	t.progress("start the server, register, log in")
	if err := t.start(ctx); err != nil {
		return err
	}
	t.person = visitor.Person{Name: "Ada", Email: strings.ToLower(rand.Text()) + "@example.org", Password: rand.Text()}
	if err := t.browser.Stranger().Register(ctx, t.person); err != nil {
		return err
	}
	if err := t.browser.LogIn(ctx, t.person); err != nil {
		return err
	}
	t.row.Before, err = t.browser.Greeting(ctx)
	return err
}

// outlive restarts the server gracefully, and then kills it and starts it again.
func (t *trial) outlive(ctx context.Context) (err error) {
	t.progress("restart the server")
	if err := t.server.Stop(); err != nil {
		return err
	}
	if t.row.AfterRestart, err = t.greetingOfNext(ctx); err != nil {
		return err
	}
	t.progress("kill the server and start it again")
	t.server.Kill()
	t.row.AfterKill, err = t.greetingOfNext(ctx)
	return err
}

// greetingOfNext starts the next server and reads its greeting for the session of
// the previous one. A guest logs in again, so that the next step has a session to
// lose.
func (t *trial) greetingOfNext(ctx context.Context) (string, error) {
	if err := t.start(ctx); err != nil {
		return "", err
	}
	greeting, err := t.browser.Greeting(ctx)
	if err == nil && greeting == "" {
		err = t.browser.LogIn(ctx, t.person)
	}
	return greeting, err
}

// share starts a second server on the same stores and sends it a copy of the
// cookie.
func (t *trial) share(ctx context.Context) error {
	t.progress("start a second server next to it")
	var extra []string
	if redis := t.server.Says("redis"); redis != "" { // the embedded one, which has a socket
		extra = []string{"REDIS_URL=" + redis}
	}
	second, err := t.launch(ctx, extra...)
	if ended, refused := errors.AsType[*launch.EndedError](err); refused {
		t.row.Refusal = ended.LastLine()
		return nil
	}
	if err != nil {
		return err
	}
	defer second.Kill()
	there := t.browser.Stranger().At(second.URL())
	there.Take(t.browser.Token())
	greeting, err := there.Greeting(ctx)
	if err != nil {
		return err
	}
	t.row.Shared = greeting != "" && greeting == t.row.Before
	return second.Stop()
}

// revoke ends the session in two ways, and each time sends a copy of the cookie again.
func (t *trial) revoke(ctx context.Context) error {
	t.progress("log out, set a new password, send copies of the cookie")
	copyWorksAfter := func(end func() error) (bool, error) {
		thief := t.browser.Stranger()
		thief.Take(t.browser.Token())
		if err := end(); err != nil {
			return false, err
		}
		greeting, err := thief.Greeting(ctx)
		return greeting != "", err
	}
	var copies Copies
	var err error
	if copies.LogOut, err = copyWorksAfter(func() error { return t.browser.LogOut(ctx) }); err != nil {
		return err
	}
	if err := t.browser.LogIn(ctx, t.person); err != nil {
		return err
	}
	copies.Password, err = copyWorksAfter(func() error { return t.browser.SetPassword(ctx, &t.person, rand.Text()) })
	t.row.Copies = &copies
	return err
}

// time measures the median time of consecutive page views.
func (t *trial) time(ctx context.Context) error {
	t.progress("time %d page views", timedGreetings)
	took := make([]time.Duration, 0, timedGreetings)
	for i := range untimedGreeting + timedGreetings {
		began := time.Now()
		greeting, err := t.browser.Greeting(ctx)
		if err != nil {
			return err
		}
		if greeting == "" {
			return errors.New("the session was lost while the server ran")
		}
		if i >= untimedGreeting {
			took = append(took, time.Since(began))
		}
	}
	slices.Sort(took)
	t.row.Greeting = took[len(took)/2]
	return nil
}
