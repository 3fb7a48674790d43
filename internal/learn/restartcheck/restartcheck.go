// Package restartcheck tries which session stores outlive the server. It owns
// the experiment: it starts the server program as a child process, talks to it
// over HTTP as a browser does, stops and kills it, and measures what sessions
// cost. It must not know how the server works inside: all it relies on is the
// settings, the pages, /metrics and what the server says when it starts. Where
// it cleans up in a real Redis it also knows how a key is made of a token.
package restartcheck

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
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
	// Sessions is how many sessions are made to measure what they cost.
	Sessions int
	// Progress, if set, is told what is about to be done, one call at a time.
	Progress func(store, doing string)
	// Tried, if set, is told what was found about each store as soon as it is.
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
			t.server.kill()
		}
	}()
	for _, step := range []func(context.Context) error{t.logIn, t.outlive, t.share, t.time, t.fill} {
		if err := step(ctx); err != nil {
			return Row{}, err
		}
	}
	return t.row, nil
}

// trial is one store being tried.
type trial struct {
	Options
	place  *place
	row    Row
	server *child // the one running now
	person person
	cookie *browser
}

func (t *trial) progress(format string, args ...any) {
	t.Progress(t.row.Store, fmt.Sprintf(format, args...))
}

// start runs the server on the trial's stores, whatever ran before.
func (t *trial) start(ctx context.Context, extra ...string) (err error) {
	t.server, err = startChild(ctx, t.Executable, t.place, extra...)
	return err
}

func (t *trial) logIn(ctx context.Context) (err error) {
	t.progress("start the server, register, log in")
	if err := t.start(ctx); err != nil {
		return err
	}
	t.row.Sessions, t.row.People = t.server.says["sessions"], t.server.says["people"]
	t.person = newPerson()
	if err := newBrowser(t.place).register(ctx, t.server, t.person); err != nil {
		return err
	}
	if err := t.logInAgain(ctx); err != nil {
		return err
	}
	t.row.Before, err = t.cookie.greeting(ctx, t.server)
	return err
}

// logInAgain opens a new browser, because the session of the one before is lost.
func (t *trial) logInAgain(ctx context.Context) error {
	t.cookie = newBrowser(t.place)
	return t.cookie.logIn(ctx, t.server, t.person)
}

// outlive stops the server in good order and starts it again, and then does
// the same with a kill.
func (t *trial) outlive(ctx context.Context) (err error) {
	t.progress("restart the server")
	if err := t.server.stop(); err != nil {
		return err
	}
	if t.row.AfterRestart, err = t.greetingOfNext(ctx); err != nil {
		return err
	}
	t.progress("kill the server and start it again")
	t.server.kill()
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
	greeting, err := t.cookie.greeting(ctx, t.server)
	if err == nil && greeting == "" {
		err = t.logInAgain(ctx)
	}
	return greeting, err
}

// share starts a second server on the same stores and shows it the cookie.
func (t *trial) share(ctx context.Context) error {
	t.progress("start a second server beside it")
	second, err := startChild(ctx, t.Executable, t.place)
	var ended *endedError
	if errors.As(err, &ended) {
		t.row.Refusal = ended.lastLine()
		return nil
	}
	if err != nil {
		return err
	}
	defer second.kill()
	greeting, err := t.cookie.greeting(ctx, second)
	if err != nil {
		return err
	}
	t.row.Shared = greeting != "" && greeting == t.row.Before
	return second.stop()
}

// time takes the median of greetings asked for one after the other.
func (t *trial) time(ctx context.Context) error {
	t.progress("time %d greetings", timedGreetings)
	took := make([]time.Duration, 0, timedGreetings)
	for i := range untimedGreeting + timedGreetings {
		began := time.Now()
		greeting, err := t.cookie.greeting(ctx, t.server)
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
