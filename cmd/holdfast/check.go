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
	"sync"
	"time"

	"holdfast/internal/config"
	"holdfast/internal/learn/restartcheck"
	"holdfast/web"
)

// What the button on /lab asks of this machine: fewer sessions than the
// command makes, and not for longer than this.
const (
	labSessions = 500
	labTimeout  = 5 * time.Minute
)

// check runs restart-check beside the server, one at a time, for the page /lab.
type check struct {
	cfg config.Config
	log *slog.Logger

	mu      sync.Mutex
	running bool
	doing   string
	failed  string
}

func newCheck(cfg config.Config, log *slog.Logger) *check {
	return &check{cfg: cfg, log: log}
}

// Start implements [web.Check].
func (c *check) Start() error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running {
		return web.ErrChecking
	}
	c.running, c.doing, c.failed = true, "begin", ""
	go c.run(program)
	return nil
}

func (c *check) run(program string) {
	ctx, cancel := context.WithTimeout(context.Background(), labTimeout)
	defer cancel()
	report, err := restartcheck.Run(ctx, restartcheck.Options{
		Executable:  program,
		RedisURL:    c.cfg.RedisURL.Reveal(),
		DatabaseURL: c.cfg.DatabaseURL.Reveal(),
		Sessions:    labSessions,
		Progress: func(store, doing string) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.doing = store + ": " + doing
		},
	})
	if err == nil {
		err = saveReport(c.cfg, report)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running = false
	if err != nil {
		c.failed = "The check did not come to its end. The server's log says why."
		c.log.Error("restart-check from the lab", "cause", err)
	}
}

// State implements [web.Check].
func (c *check) State() (web.CheckState, error) {
	c.mu.Lock()
	state := web.CheckState{Running: c.running, Doing: c.doing, Failed: c.failed}
	c.mu.Unlock()
	saved, err := loadReport(c.cfg)
	if errors.Is(err, fs.ErrNotExist) {
		return state, nil
	}
	if err != nil {
		return web.CheckState{}, err
	}
	state.Measured = saved.Measured
	cells := reportCells(saved.Report)
	state.Heads = cells[0]
	for i, row := range saved.Report.Rows {
		state.Rows = append(state.Rows, web.CheckRow{Cells: cells[i+1], Sentence: saved.Report.Sentence(row)})
	}
	return state, nil
}

// savedReport is the latest report, kept in DATA_DIR.
type savedReport struct {
	Measured time.Time           `json:"measured"`
	Report   restartcheck.Report `json:"report"`
}

func reportFile(cfg config.Config) string {
	return filepath.Join(cfg.DataDir, "restart-check.json")
}

func saveReport(cfg config.Config, report restartcheck.Report) error {
	encoded, err := json.MarshalIndent(savedReport{time.Now().UTC(), report}, "", "  ")
	if err != nil {
		return fmt.Errorf("encode report: %w", err)
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("make DATA_DIR: %w", err)
	}
	// Written beside and moved, so that nobody reads half of it.
	part := reportFile(cfg) + ".part"
	if err := os.WriteFile(part, encoded, 0o600); err != nil {
		return fmt.Errorf("keep report: %w", err)
	}
	if err := os.Rename(part, reportFile(cfg)); err != nil {
		return fmt.Errorf("keep report: %w", err)
	}
	return nil
}

func loadReport(cfg config.Config) (savedReport, error) {
	var saved savedReport
	encoded, err := os.ReadFile(reportFile(cfg))
	if err != nil {
		return saved, fmt.Errorf("read report: %w", err)
	}
	if err := json.Unmarshal(encoded, &saved); err != nil {
		return saved, fmt.Errorf("read report: %w", err)
	}
	return saved, nil
}
