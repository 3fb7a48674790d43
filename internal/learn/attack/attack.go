// Package attack runs seven real attacks over HTTP, against the server it runs in
// and against a typical set-up, which follows the manuals of scs and its redisstore.
// It reports what was sent, what came back and who won. It owns the attacks, the
// temporary accounts they use, and the last report of each. It must not know pages,
// and it deletes everything it creates: accounts, sessions, keys.
package attack

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"holdfast/internal/account"
	"holdfast/internal/learn/jsonfile"
	"holdfast/internal/learn/stock"
	"holdfast/internal/session"
	"holdfast/internal/session/store"
)

// The named errors of a run.
var (
	// ErrBusy means that another attack is running. Only one runs at a time.
	ErrBusy = errors.New("an attack is already running")
	// ErrUnknown means that there is no attack of that name.
	ErrUnknown = errors.New("no such attack")
)

// DefaultLimit is how long an attack may take, on both servers together. Cleaning up
// may take two fifths of that more, so that a run ends within ten seconds.
const DefaultLimit = 7 * time.Second

// cleaning returns a context for cleaning up after an attack that ran with ctx. It has
// the time that the attack has left, and the given number of fifths of Limit more.
func (r *Runner) cleaning(ctx context.Context, fifths time.Duration) (context.Context, context.CancelFunc) {
	deadline, _ := ctx.Deadline() // set by Run
	return context.WithDeadline(context.WithoutCancel(ctx), deadline.Add(fifths*r.Limit/5))
}

// Config is what a Runner needs.
type Config struct {
	// Server is the address of this server on its own machine, such as
	// "http://127.0.0.1:3000", and Host the header Host to send ("" for the same).
	Server, Host string
	Accounts     *account.Service
	Sessions     *session.Manager
	Unslowed     bool          // attempts are not limited on this server
	Store        *store.Opened // that Sessions are kept in
	Limit        time.Duration // 0 for DefaultLimit
	File         string        // where reports are kept for the next server; "" for nowhere
	Log          *slog.Logger
}

// Runner runs attacks, one at a time. It is safe for concurrent use.
type Runner struct {
	Config
	turn sync.Mutex // held by the current run

	mu     sync.Mutex
	latest map[string]*Report // at most one of each name
	left   []string           // ids of temporary accounts still to be deleted
}

// New returns a Runner.
func New(cfg Config) *Runner {
	if cfg.Limit == 0 {
		cfg.Limit = DefaultLimit
	}
	r := &Runner{Config: cfg, latest: map[string]*Report{}}
	if err := jsonfile.Read(cfg.File, &r.latest); cfg.File != "" && err != nil {
		cfg.Log.Warn("reports of earlier attacks not read", "cause", err)
	}
	return r
}

// Report is the result of one run. It never changes, and holds no token.
type Report struct {
	At    time.Time // when it began
	Took  time.Duration
	Here  Trial
	Stock Trial
}

// Requests returns how many requests were sent in total.
func (r *Report) Requests() int { return r.Here.Sent + r.Stock.Sent }

// Trial is the attack on one server.
type Trial struct {
	Outcome   Outcome
	Why       string     // the reason, in words that follow "failed, because" or "succeeded:"
	Facts     string     // what was counted, as a sentence
	Sent      int        // requests
	Exchanges []Exchange // the ones worth showing
}

// Outcome says who won.
type Outcome string

// The outcomes of a trial, seen from the attacker.
const (
	Failed    Outcome = "failed"
	Succeeded Outcome = "succeeded"
	Undecided Outcome = "undecided" // something else went wrong before it was clear
	NotTried  Outcome = "not tried"
)

// Exchange is one request and its answer, tokens and passwords masked.
type Exchange struct {
	Note    string // who sends this, and what for
	Request string
	Answer  string
}

// Latest returns the report of the last run of the attack of that name, or nil.
func (r *Runner) Latest(name string) *Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.latest[name]
}

// Run runs the attack of that name and keeps its report. It continues if ctx is
// cancelled, so that it can clean up, and ends within its limits. Errors:
// ErrUnknown, ErrBusy, and those of account.Register.
func (r *Runner) Run(ctx context.Context, name string) error {
	attacks := all()
	i := slices.IndexFunc(attacks, func(a Attack) bool { return a.Name == name })
	if i < 0 {
		return ErrUnknown
	}
	if !r.turn.TryLock() {
		return ErrBusy
	}
	defer r.turn.Unlock()
	ctx = context.WithoutCancel(ctx)
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, r.Limit)
	defer cancel()
	report, err := r.perform(limited, attacks[i])
	if err != nil {
		return err
	}
	report.At, report.Took = began, time.Since(began)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.latest[name] = report
	if r.File != "" {
		if err := jsonfile.Write(r.File, r.latest); err != nil {
			r.Log.WarnContext(ctx, "attack report not saved", "cause", err)
		}
	}
	return nil
}

// perform runs the attack against both servers and cleans up.
func (r *Runner) perform(ctx context.Context, a Attack) (*Report, error) {
	if reason := r.notHere(a); reason != "" {
		no := Trial{Outcome: NotTried, Why: reason}
		return &Report{Here: no, Stock: no}, nil
	}
	victim, err := r.invent(ctx)
	if err != nil {
		return nil, err
	}
	here := newTarget(r.Server, r.Host, r.Sessions.CookieName(), victim)
	here.holds, here.falls = a.Holds, mustNotBe
	defer r.tidy(ctx, here)
	targets := []*target{here}
	beside, noStock := startStock(ctx, r.Store, victim.password)
	if noStock == nil {
		there := newTarget(beside.url, "", stock.CookieName, victim)
		there.holds, there.falls = a.stockHolds, a.stockFalls
		defer r.clear(ctx, beside, there)
		targets = append(targets, there)
	}
	var trials []Trial
	if a.together != nil {
		trials = a.together(ctx, r.Store.Embedded, targets)
	} else {
		for _, t := range targets {
			trials = append(trials, t.trial(a.try(ctx, t)))
		}
	}
	if noStock != nil {
		trials = append(trials, Trial{Outcome: NotTried, Why: r.notCompared(ctx, noStock)})
	}
	return &Report{Here: trials[0], Stock: trials[1]}, nil
}

// notHere returns why an attack cannot be run against this server, or "" if it can.
func (r *Runner) notHere(a Attack) string {
	switch {
	case a.slowed && r.Unslowed:
		return "this server runs with THROTTLE=off, so it checks every password."
	case a.together == nil || r.Store.Embedded != nil:
		return ""
	case r.Store.Dial != nil:
		return "this server does not pause a Redis that others may be using. If no one else uses yours, run " +
			`redis-cli -u "$REDIS_URL" CLIENT PAUSE 5000 ALL` + " to pause it for 5 seconds. Load a page here during the pause, and another afterwards."
	default:
		return "sessions are in " + r.Sessions.Where() + ", so there is no Redis to pause. Start the server with SESSION_STORE=redis and no REDIS_URL to see it."
	}
}

func (r *Runner) notCompared(ctx context.Context, err error) string {
	if errors.Is(err, errNoRedis) {
		return "the typical set-up keeps sessions in Redis, but this server keeps them in " + r.Sessions.Where() + "."
	}
	r.Log.WarnContext(ctx, "typical setup for comparison not started", "cause", err)
	return "the typical set-up did not start. The log says why."
}

// trial returns the result of an attack on this server.
func (t *target) trial(won bool, facts string) Trial {
	t.mu.Lock()
	defer t.mu.Unlock()
	trial := Trial{Facts: facts, Sent: t.sent, Exchanges: slices.Clone(t.shown)}
	switch {
	case t.err != nil:
		trial.Outcome, trial.Why, trial.Facts = Undecided, words(t.err), ""
	case won:
		trial.Outcome, trial.Why = Succeeded, t.falls
	default:
		trial.Outcome, trial.Why = Failed, t.holds
	}
	return trial
}

// mustNotBe is why an attack succeeds here.
const mustNotBe = "this should never happen. Please report it, with the requests and responses below."

// unclear is why an attack gave no clear result, in words for the page.
type unclear string

func (u unclear) Error() string { return string(u) }

func words(err error) string {
	if known, ok := errors.AsType[unclear](err); ok {
		return string(known)
	}
	return "a request got no answer in time. This machine may be busy: try again."
}
