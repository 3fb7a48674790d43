package main

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
	"holdfast/internal/learn/restartcheck"
	"holdfast/web"
)

// labTimeout is how long the button on /lab may keep this machine busy.
const labTimeout = 5 * time.Minute

// The causes for which a check ends before its end.
var (
	errServerEnds = errors.New("the server was restarted or stopped meanwhile")
	errTooLong    = fmt.Errorf("it took more than %s", labTimeout)
)

// check runs restart-check beside the server, one at a time, for the page /lab.
// It ends with the server: its own servers are gone, and what they left is
// removed, before another program takes this one's place.
type check struct {
	server   context.Context // ends with the server
	cfg      config.Config
	sessions int // made to measure what one costs
	log      *slog.Logger

	mu      sync.Mutex
	running chan struct{} // closed when the check under way is over; nil: none is
	now     unfinished    // the check under way
	store   string        // what it is trying
	doing   string        // and how far it is
}

func newCheck(server context.Context, cfg config.Config, sessions int, log *slog.Logger) *check {
	return &check{server: server, cfg: cfg, sessions: sessions, log: log}
}

// sweep removes what a check has left that was killed with its server.
func (c *check) sweep() {
	if err := restartcheck.Sweep(c.server, c.cfg.DataDir, c.cfg.DatabaseURL.Reveal()); err != nil {
		c.log.Warn("restart-check before this start", "cause", err)
	}
}

// Start implements [web.Check].
func (c *check) Start() error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server.Err() != nil {
		return httpserver.ErrRestarting
	}
	if c.running != nil {
		return web.ErrChecking
	}
	begun := unfinished{Began: time.Now().UTC(), Report: restartcheck.Report{Sessions: c.sessions}, Failed: "The server ended while the check ran."}
	// Kept from the start: a server that is killed cannot say anything any more.
	if err := writeJSON(unfinishedFile(c.cfg), begun); err != nil {
		return err
	}
	c.running, c.now = make(chan struct{}), begun
	c.store, c.doing = restartcheck.Stores()[0], "begin"
	go c.run(program, c.running)
	return nil
}

// close waits until nothing is left of a check that the end of the server has
// stopped, for at most limit.
func (c *check) close(limit time.Duration) error {
	c.mu.Lock()
	running := c.running
	c.mu.Unlock()
	if running == nil {
		return nil
	}
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case <-running:
		return nil
	case <-late.C:
		return fmt.Errorf("restart-check was not over after %s", limit)
	}
}

func (c *check) run(program string, running chan struct{}) {
	defer close(running)
	ctx, cancel := context.WithTimeoutCause(c.server, labTimeout, errTooLong)
	defer cancel()
	report, err := restartcheck.Run(ctx, restartcheck.Options{
		Executable:  program,
		RedisURL:    c.cfg.RedisURL.Reveal(),
		DatabaseURL: c.cfg.DatabaseURL.Reveal(),
		Notes:       c.cfg.DataDir,
		Sessions:    c.sessions,
		Progress: func(store, doing string) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.store, c.doing = store, doing
		},
		Tried: func(row restartcheck.Row) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.now.Report.Rows = append(c.now.Report.Rows, row)
		},
	})
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
	if err := writeJSON(unfinishedFile(c.cfg), c.now); err != nil {
		c.log.Error("restart-check from the lab: its end cannot be kept", "cause", err)
	}
}

// explain says why a check stopped: a sentence, and what a server said last.
func (c *check) explain(ctx context.Context, err error) (sentence, said string) {
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

// State implements [web.Check].
func (c *check) State() (web.CheckState, error) {
	var state web.CheckState
	saved, err := loadReport(c.cfg)
	switch {
	case err == nil:
		state.Measured = saved.Measured
		state.Heads, state.Rows = checkRows(saved.Report)
	case !errors.Is(err, fs.ErrNotExist):
		return web.CheckState{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running != nil {
		state.Running, state.Began = true, c.now.Began
		state.Heads, state.Now = c.now.rows(c.store, "being tried: "+c.doing, "not tried yet")
		return state, nil
	}
	var last unfinished
	if err := readJSON(unfinishedFile(c.cfg), &last); errors.Is(err, fs.ErrNotExist) {
		return state, nil
	} else if err != nil {
		return web.CheckState{}, err
	}
	state.Began, state.Failed, state.Reason = last.Began, last.Failed, last.Reason
	if len(last.Report.Rows) > 0 {
		state.Heads, state.Now = last.rows("", "", "not tried")
	}
	return state, nil
}

// unfinished is a check that has not come to its end: the one under way, or the
// latest one when it failed.
type unfinished struct {
	Began  time.Time           `json:"began"`
	Report restartcheck.Report `json:"report"` // as far as it came
	Failed string              `json:"failed"` // why it is not whole, in a sentence
	Reason string              `json:"reason"` // in a server's own words; or ""
}

// rows has one row for each store, tried or not.
func (u unfinished) rows(trying, doing, otherwise string) (heads []string, rows []web.CheckRow) {
	heads, rows = checkRows(u.Report)
	for _, store := range restartcheck.Stores()[len(rows):] {
		what := otherwise
		if store == trying {
			what = doing
		}
		rows = append(rows, web.CheckRow{Store: store, Waiting: what})
	}
	return heads, rows
}

func checkRows(report restartcheck.Report) (heads []string, rows []web.CheckRow) {
	cells := reportCells(report)
	heads = cells[0]
	for i, row := range report.Rows {
		found := web.CheckRow{Store: row.Store, Sentence: report.Sentence(row)}
		for j, text := range cells[i+1][1:] {
			found.Cells = append(found.Cells, web.CheckCell{Head: heads[j+1], Text: text})
		}
		rows = append(rows, found)
	}
	return heads, rows
}

// savedReport is the latest whole report, kept in DATA_DIR.
type savedReport struct {
	Measured time.Time           `json:"measured"`
	Report   restartcheck.Report `json:"report"`
}

func reportFile(cfg config.Config) string {
	return filepath.Join(cfg.DataDir, "restart-check.json")
}

func unfinishedFile(cfg config.Config) string {
	return filepath.Join(cfg.DataDir, "restart-check.unfinished.json")
}

// saveReport keeps a whole report, in the place of any earlier check.
func saveReport(cfg config.Config, report restartcheck.Report) error {
	if err := writeJSON(reportFile(cfg), savedReport{time.Now().UTC(), report}); err != nil {
		return err
	}
	if err := os.Remove(unfinishedFile(cfg)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the check before: %w", err)
	}
	return nil
}

func loadReport(cfg config.Config) (savedReport, error) {
	var saved savedReport
	err := readJSON(reportFile(cfg), &saved)
	return saved, err
}

func writeJSON(path string, value any) error {
	encoded, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("encode report: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make DATA_DIR: %w", err)
	}
	// Written beside and moved, so that nobody reads half of it.
	part := path + ".part"
	if err := os.WriteFile(part, encoded, 0o600); err != nil {
		return fmt.Errorf("keep report: %w", err)
	}
	if err := os.Rename(part, path); err != nil {
		return fmt.Errorf("keep report: %w", err)
	}
	return nil
}

func readJSON(path string, into any) error {
	encoded, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read report: %w", err)
	}
	if err := json.Unmarshal(encoded, into); err != nil {
		return fmt.Errorf("read report: %w", err)
	}
	return nil
}
