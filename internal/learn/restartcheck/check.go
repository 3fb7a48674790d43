package restartcheck

import (
	"context"
	"encoding/json"
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
)

// checkLimit is how long the button on /lab may keep this machine busy.
const checkLimit = 5 * time.Minute

// The causes for which a check is stopped.
var (
	errServerEnds = errors.New("the server was restarted or stopped meanwhile")
	errTooLong    = fmt.Errorf("it took more than %s", checkLimit)
)

// ErrChecking: a check is running.
var ErrChecking = errors.New("a check is running")

// Check runs restart-check beside the server, one at a time, for the page /lab.
// It ends with the server: its own servers are gone, and what they left is
// removed, before another program takes this one's place.
type Check struct {
	server   context.Context // ends with the server
	cfg      config.Config
	sessions int // created to measure what one costs
	log      *slog.Logger

	mu      sync.Mutex
	running chan struct{} // closed when the running check has ended; nil: none is
	now     stored        // the running check
	store   string        // what it is trying
	doing   string        // and how far it is
}

// NewCheck returns the check of a server, and removes what one has left that was
// killed with an earlier server.
func NewCheck(server context.Context, cfg config.Config, sessions int, log *slog.Logger) *Check {
	if err := Sweep(server, cfg.DataDir, cfg.DatabaseURL.Reveal()); err != nil {
		log.Warn("restart-check before this start", "cause", err)
	}
	return &Check{server: server, cfg: cfg, sessions: sessions, log: log}
}

// Start starts a check. Errors: ErrChecking, and httpserver.ErrRestarting when the
// server is about to end.
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
	begun := stored{Began: time.Now().UTC(), Report: Report{Sessions: c.sessions}, Failed: "The server ended while the check ran."}
	// Stored at the start, because a server that is killed cannot store anything.
	if err := begun.write(unfinishedFile(c.cfg)); err != nil {
		return err
	}
	c.running, c.now = make(chan struct{}), begun
	c.store, c.doing = Stores()[0], "begin"
	go c.run(options, c.running)
	return nil
}

// Close waits until nothing is left of a check that the end of the server has
// stopped, for at most limit.
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
		return fmt.Errorf("restart-check has not ended after %s", limit)
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
	c.log.Error("restart-check from the lab", "cause", err)
	if err := c.now.write(unfinishedFile(c.cfg)); err != nil {
		c.log.Error("restart-check from the lab: its end cannot be kept", "cause", err)
	}
}

// explain says why a check stopped: a sentence, and what a server said last.
func (c *Check) explain(ctx context.Context, err error) (sentence, said string) {
	cause := context.Cause(ctx)
	if c.server.Err() != nil {
		cause = errServerEnds
	}
	if cause != nil {
		return "The check was stopped at the store " + c.store + ": " + cause.Error() + ".", ""
	}
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	if len(lines) > 1 {
		said = strings.TrimPrefix(lines[len(lines)-1], "holdfast: ")
	}
	why := strings.TrimPrefix(lines[0], "try "+c.store+": ")
	return "The check failed at the store " + c.store + ", while it was to " + c.doing + ": " + why + ".", said
}

// State is how far the running check is, or why the latest one did not finish, and
// what the latest finished one found.
type State struct {
	Running bool
	Failed  string     // why the latest check is incomplete, in a sentence; or ""
	Reason  string     // the same in a server's own words; or ""
	Began   time.Time  // of the check that runs or failed
	Now     []StateRow // what that one found so far, one row a store

	Heads    []string
	Measured time.Time // zero: no check has finished yet
	Rows     []StateRow
}

// StateRow is what was found about one store.
type StateRow struct {
	Store    string
	Cells    []StateCell
	Sentence string
	Waiting  string // instead of the rest: the store has not been tried
}

// StateCell is one finding under the head of its column.
type StateCell struct{ Head, Text string }

// State returns what is known now.
func (c *Check) State() (State, error) {
	var state State
	saved, found, err := readStored(reportFile(c.cfg))
	if err != nil {
		return State{}, err
	}
	if found {
		state.Measured = saved.Measured
		state.Heads, state.Rows = stateRows(saved.Report)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running != nil {
		state.Running, state.Began = true, c.now.Began
		state.Heads, state.Now = c.now.rows(c.store, "being tried: "+c.doing, "not tried yet")
		return state, nil
	}
	last, _, err := readStored(unfinishedFile(c.cfg))
	if err != nil {
		return State{}, err
	}
	state.Began, state.Failed, state.Reason = last.Began, last.Failed, last.Reason
	if len(last.Report.Rows) > 0 {
		state.Heads, state.Now = last.rows("", "", "not tried")
	}
	return state, nil
}

// stored is what DATA_DIR has of a check: in one file the latest complete report,
// in another the running check, or the latest one when it failed.
type stored struct {
	Measured time.Time `json:"measured,omitzero"` // a complete one
	Began    time.Time `json:"began,omitzero"`    // one that is not
	Report   Report    `json:"report"`            // as far as it came
	Failed   string    `json:"failed,omitempty"`  // why it is incomplete, in a sentence
	Reason   string    `json:"reason,omitempty"`  // in a server's own words
}

// rows has one row for each store, tried or not.
func (u stored) rows(trying, doing, otherwise string) (heads []string, rows []StateRow) {
	heads, rows = stateRows(u.Report)
	for _, store := range Stores()[len(rows):] {
		what := otherwise
		if store == trying {
			what = doing
		}
		rows = append(rows, StateRow{Store: store, Waiting: what})
	}
	return heads, rows
}

func stateRows(report Report) (heads []string, rows []StateRow) {
	cells := reportCells(report)
	heads = cells[0]
	for i, row := range report.Rows {
		found := StateRow{Store: row.Store, Sentence: report.Sentence(row)}
		for j, text := range cells[i+1][1:] {
			found.Cells = append(found.Cells, StateCell{Head: heads[j+1], Text: text})
		}
		rows = append(rows, found)
	}
	return heads, rows
}

func reportFile(cfg config.Config) string {
	return filepath.Join(cfg.DataDir, "restart-check.json")
}

func unfinishedFile(cfg config.Config) string {
	return filepath.Join(cfg.DataDir, "restart-check.unfinished.json")
}

// saveReport stores a complete report, in the place of any earlier check.
func saveReport(cfg config.Config, report Report) error {
	if err := (stored{Measured: time.Now().UTC(), Report: report}).write(reportFile(cfg)); err != nil {
		return err
	}
	if err := os.Remove(unfinishedFile(cfg)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the check before: %w", err)
	}
	return nil
}

func (u stored) write(path string) error {
	encoded, err := json.MarshalIndent(u, "", "  ")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	// Written beside and moved, so that no reader finds half of it.
	part := path + ".part"
	if err == nil {
		err = os.WriteFile(part, encoded, 0o600)
	}
	if err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		return fmt.Errorf("store report: %w", err)
	}
	return nil
}

func readStored(path string) (u stored, found bool, err error) {
	encoded, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return stored{}, false, nil
	}
	if err == nil {
		err = json.Unmarshal(encoded, &u)
	}
	if err != nil {
		return stored{}, false, fmt.Errorf("read report: %w", err)
	}
	return u, true, nil
}
