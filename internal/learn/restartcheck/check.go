package restartcheck

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"holdfast/internal/config"
	"holdfast/internal/httpserver"
	"holdfast/internal/learn/jsonfile"
)

// checkLimit is how long a check from /lab may run.
const checkLimit = 5 * time.Minute

// The causes with which a check is stopped.
var (
	errServerEnds = errors.New("the server was restarted or stopped")
	errTooLong    = fmt.Errorf("it took longer than %d minutes", checkLimit/time.Minute)
)

// ErrChecking means that a check is running.
var ErrChecking = errors.New("a check is running")

// Check runs restart-check next to the server, one check at a time, for the page
// /lab. It stops with the server: before another program replaces this one, its
// child servers have stopped and what they left is deleted.
type Check struct {
	server   context.Context // ends with the server
	cfg      config.Config
	sessions int // created to measure what one costs
	log      *slog.Logger

	mu      sync.Mutex
	running chan struct{} // closed when the running check has stopped; nil for none
	now     stored        // the running check
	store   string        // the store it is testing
	doing   string        // its current step
}

// NewCheck returns the check of a server. It deletes what a check left behind that was
// killed together with an earlier server.
func NewCheck(server context.Context, cfg config.Config, sessions int, log *slog.Logger) *Check {
	if err := Sweep(server, cfg.DataDir, cfg.DatabaseURL.Reveal()); err != nil {
		log.Warn("leftovers of an earlier restart-check not removed", "cause", err)
	}
	return &Check{server: server, cfg: cfg, sessions: sessions, log: log}
}

// Start starts a check. Errors: ErrChecking, and httpserver.ErrRestarting if the
// server is about to stop.
func (c *Check) Start() error {
	options, err := optionsOf(c.cfg, c.sessions)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server.Err() != nil {
		return httpserver.ErrRestarting
	}
	if c.running != nil {
		return ErrChecking
	}
	begun := stored{Began: time.Now().UTC(), Report: Report{Sessions: c.sessions}, Failed: "The server stopped during the check."}
	// Saved at the start, because a server that is killed cannot save anything.
	if err := jsonfile.Write(unfinishedFile(c.cfg), begun); err != nil {
		return err
	}
	c.running, c.now = make(chan struct{}), begun
	c.store, c.doing = Stores()[0], "start"
	go c.run(options, c.running)
	return nil
}

// Close waits, for at most limit, until the check that stopped with the server has
// cleaned up.
func (c *Check) Close(limit time.Duration) error {
	c.mu.Lock()
	running := c.running
	c.mu.Unlock()
	if running == nil {
		return nil
	}
	select {
	case <-running:
		return nil
	case <-time.After(limit):
		return fmt.Errorf("restart-check did not finish within %s", limit)
	}
}

func (c *Check) run(options Options, running chan struct{}) {
	defer close(running)
	ctx, cancel := context.WithTimeoutCause(c.server, checkLimit, errTooLong)
	defer cancel()
	options.Progress = func(store, doing string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.store, c.doing = store, doing
	}
	options.Tried = func(row Row) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.now.Report.Rows = append(c.now.Report.Rows, row)
		if tried := len(c.now.Report.Rows); tried < len(contestants()) {
			c.store, c.doing = contestants()[tried], "start"
		}
	}
	report, err := Run(ctx, options)
	if err == nil {
		err = saveReport(c.cfg, report)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running = nil
	if err == nil {
		return
	}
	c.now.Failed, c.now.Reason = c.explain(ctx, err)
	c.log.Error("restart-check failed", "cause", err)
	if err := jsonfile.Write(unfinishedFile(c.cfg), c.now); err != nil {
		c.log.Error("restart-check result not saved", "cause", err)
	}
}

// explain returns a sentence that says why a check stopped, and the last log line of
// its server.
func (c *Check) explain(ctx context.Context, err error) (sentence, said string) {
	cause := context.Cause(ctx)
	if c.server.Err() != nil {
		cause = errServerEnds
	}
	if cause != nil {
		return "The check stopped while testing " + c.store + ": " + cause.Error() + ".", ""
	}
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	if len(lines) > 1 {
		said = strings.TrimPrefix(lines[len(lines)-1], "holdfast: ")
	}
	why := strings.TrimPrefix(lines[0], "test "+c.store+": ")
	return "The check failed while testing " + c.store + ", at the step “" + c.doing + "”: " + why + ".", said
}

// State is the progress of the running check, or why the last one did not finish,
// and the results of the last complete one.
type State struct {
	Running bool
	Failed  string     // why the last check is incomplete, as a sentence; or ""
	Reason  string     // the last log line of its server; or ""
	Began   time.Time  // of the check that runs or failed
	Now     []StateRow // its results so far, one row for each store

	Sessions int       // created for each store
	Measured time.Time // zero: no check has finished yet
	Rows     []StateRow
}

// StateRow is the results for one store.
type StateRow struct {
	Store string
	// Restart, Kill and Second are what became of a session there: Known, Stranger or
	// Refused.
	Restart, Kill, Second string
	// LogOut and Password are what a copy of the cookie did after them: Ended or
	// StillWorks; "" if that was not tried.
	LogOut, Password   string
	Growth, Size, Page Cost
	Waiting            string // instead of the rest, while the store has not been tested
}

// How a server answers someone with a session of another server.
const (
	Known    = "known"    // it greeted the person
	Stranger = "stranger" // it asked for a login
	Refused  = "refused"  // it did not start
)

// What became of a copied cookie.
const (
	Ended      = "ended"
	StillWorks = "still works"
)

// Cost is a figure, and the length of its bar in percent of the longest one.
type Cost struct {
	Text string
	Bar  int
}

// State returns the current state.
func (c *Check) State() (State, error) {
	var state State
	var saved, last stored
	if err := jsonfile.Read(reportFile(c.cfg), &saved); err != nil {
		return State{}, err
	}
	if !saved.Measured.IsZero() {
		state.Measured, state.Sessions = saved.Measured, saved.Report.Sessions
		state.Rows = saved.rows("", "", "not tried")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running != nil {
		state.Running, state.Began, state.Sessions = true, c.now.Began, c.sessions
		state.Now = c.now.rows(c.store, "testing now: "+c.doing, "not tested yet")
		return state, nil
	}
	if err := jsonfile.Read(unfinishedFile(c.cfg), &last); err != nil {
		return State{}, err
	}
	state.Began, state.Failed, state.Reason = last.Began, last.Failed, last.Reason
	if len(last.Report.Rows) > 0 {
		state.Now = last.rows("", "", "not tested")
	}
	return state, nil
}

// stored is a check in DATA_DIR: one file holds the last complete report, another
// the running check, or the last one if it failed.
type stored struct {
	Measured time.Time `json:"measured,omitzero"` // a complete one
	Began    time.Time `json:"began,omitzero"`    // one that is not
	Report   Report    `json:"report"`            // the results so far
	Failed   string    `json:"failed,omitempty"`  // why it is incomplete, as a sentence
	Reason   string    `json:"reason,omitempty"`  // the last log line of its server
}

// rows returns one row for each store, tested or not.
func (u stored) rows(testing, doing, otherwise string) (rows []StateRow) {
	for _, row := range u.Report.Rows {
		rows = append(rows, StateRow{
			Store: row.Store, Restart: knows(row.KeptByRestart()), Kill: knows(row.KeptByKill()), Second: knows(row.Shared),
			Growth: Cost{showGrowth(u.Report, row), u.Report.share(row, u.Report.growth)},
			Size:   Cost{showBytes(row.SessionSize), u.Report.share(row, func(r Row) int64 { return r.SessionSize })},
			Page:   Cost{showPage(row), u.Report.share(row, func(r Row) int64 { return int64(r.Greeting) })},
		})
		if row.Refusal != "" {
			rows[len(rows)-1].Second = Refused
		}
		if row.Copies != nil {
			rows[len(rows)-1].LogOut, rows[len(rows)-1].Password = ended(row.Copies.LogOut), ended(row.Copies.Password)
		}
	}
	for _, store := range contestants()[len(rows):] {
		what := otherwise
		if store == testing {
			what = doing
		}
		rows = append(rows, StateRow{Store: store, Waiting: what})
	}
	return rows
}

func knows(kept bool) string {
	if kept {
		return Known
	}
	return Stranger
}

func ended(works bool) string {
	if works {
		return StillWorks
	}
	return Ended
}

// share is how much a figure of a row is of the largest one in the report, in percent.
func (r Report) share(row Row, figure func(Row) int64) int {
	most := int64(1)
	for _, other := range r.Rows {
		most = max(most, figure(other))
	}
	return int(max(figure(row), 0) * 100 / most)
}

func reportFile(cfg config.Config) string {
	return filepath.Join(cfg.DataDir, "restart-check.json")
}

func unfinishedFile(cfg config.Config) string {
	return filepath.Join(cfg.DataDir, "restart-check.unfinished.json")
}

// saveReport saves a complete report in place of any earlier one.
func saveReport(cfg config.Config, report Report) error {
	if err := jsonfile.Write(reportFile(cfg), stored{Measured: time.Now().UTC(), Report: report}); err != nil {
		return err
	}
	if err := os.Remove(unfinishedFile(cfg)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete the previous report: %w", err)
	}
	return nil
}
