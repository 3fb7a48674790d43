// Package restartcheck tries which session stores outlive the server. It owns
// the experiment: it starts the server program as a child process, visits it as
// a browser does, stops and kills it, and measures what sessions cost. It must
// not know how the server works inside: all it relies on is the settings, the
// pages, /metrics and what the server announces.
package restartcheck

import (
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

// Options say what is tried.
type Options struct {
	// Executable is the path of the server program.
	Executable string
	// RedisURL and DatabaseURL are the real services to use; empty means the
	// embedded ones, in a temporary folder. Everything the check puts into them
	// is gone when Run returns, also when it fails.
	RedisURL, DatabaseURL string
	// Notes is a folder in which the check notes what it would leave if it were
	// killed, for [Sweep]. It is made where there is none.
	Notes string
	// Sessions is how many sessions are made to measure what they cost.
	Sessions int
	// Progress, if set, is called with what is about to be done, one call at a time.
	Progress func(store, doing string)
	// Tried, if set, is called with what was found about each store, as soon as it is.
	Tried func(Row)
}

// Greetings that are timed, after some that are not.
const (
	timedGreetings  = 200
	untimedGreeting = 20
)

// Run tries every store, one after the other, and returns what it found. It
// stops its children when ctx ends. The error says that something could not be
// tried, with the end of the server's log; what a store does badly is no error
// but part of the report, see [Report.Verdict].
func Run(ctx context.Context, o Options) (Report, error) {
	if o.Sessions < 1 {
		return Report{}, fmt.Errorf("%d sessions measure nothing", o.Sessions)
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
	for _, store := range Stores() {
		row, err := try(ctx, o, store)
		if ctx.Err() != nil {
			return report, fmt.Errorf("stopped before the end: %w", context.Cause(ctx))
		}
		if err != nil {
			return report, fmt.Errorf("try %s: %w", store, err)
		}
		report.Rows = append(report.Rows, row)
		o.Tried(row)
	}
	return report, nil
}

func try(ctx context.Context, o Options, store string) (row Row, err error) {
	where, err := openPlace(ctx, o, store)
	if err != nil {
		return Row{}, err
	}
	defer func() { err = errors.Join(err, where.clear(ctx)) }()
	t := &trial{Options: o, place: where, row: Row{Store: store}}
	defer func() {
		if t.server != nil {
			t.server.Kill()
		}
	}()
	for _, step := range []func(context.Context) error{t.logIn, t.outlive, t.share, t.time, t.fill} {
		if err := step(ctx); err != nil {
			return Row{}, t.withLog(err)
		}
	}
	return t.row, nil
}

// trial is one store being tried.
type trial struct {
	Options
	place   *place
	row     Row
	server  *launch.Server // the latest
	person  visitor.Person
	browser *visitor.Visitor // with the session that is watched
}

// withLog adds the end of the server's log to an error that lacks it.
func (t *trial) withLog(err error) error {
	var ended *launch.EndedError
	if t.server == nil || errors.As(err, &ended) {
		return err
	}
	return fmt.Errorf("%w\n%s", err, t.server.LogTail())
}

func (t *trial) progress(format string, args ...any) {
	t.Progress(t.row.Store, fmt.Sprintf(format, args...))
}

// start runs the next server on the trial's stores.
func (t *trial) start(ctx context.Context, extra ...string) error {
	next, err := t.place.start(ctx, t.Executable, extra...)
	if err != nil {
		return err
	}
	t.server = next
	if t.browser == nil {
		t.browser = visitor.New(next.URL())
		t.browser.Handed = t.place.remember
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

// outlive stops the server in good order and starts it again, and then does
// the same with a kill.
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

// greetingOfNext starts the next server and reads what it says to the session
// of the one before. A stranger logs in again, so that the next step has a
// session to lose.
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

// share starts a second server on the same stores and shows it a copy of the
// cookie.
func (t *trial) share(ctx context.Context) error {
	t.progress("start a second server beside it")
	second, err := t.place.start(ctx, t.Executable)
	var ended *launch.EndedError
	if errors.As(err, &ended) {
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

// time takes the median of greetings asked for one after the other.
func (t *trial) time(ctx context.Context) error {
	t.progress("time %d greetings", timedGreetings)
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
