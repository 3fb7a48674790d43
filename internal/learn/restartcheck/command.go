package restartcheck

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"holdfast/internal/config"
)

// optionsOf returns the options of a check with this program and these settings.
func optionsOf(cfg config.Config, sessions int) (Options, error) {
	program, err := os.Executable()
	if err != nil {
		return Options{}, fmt.Errorf("find own executable: %w", err)
	}
	return Options{
		Executable:  program,
		RedisURL:    cfg.RedisURL.Reveal(),
		DatabaseURL: cfg.DatabaseURL.Reveal(),
		Notes:       cfg.DataDir,
		Sessions:    sessions,
	}, nil
}

// Command tests every session store with this program and prints what happened to a
// session in each. Its error names each store that did not work as intended.
func Command(ctx context.Context, cfg config.Config, flags config.RestartCheck, stdout, stderr io.Writer) error {
	// Data in a real service is deleted even if the terminal is closed, or the reader
	// of the output stops reading.
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	options, err := optionsOf(cfg, flags.Sessions)
	if err != nil {
		return err
	}
	options.Progress = func(store, doing string) { fmt.Fprintf(stderr, "%-8s  %s\n", store, doing) }
	report, err := Run(ctx, options)
	if err != nil {
		return fmt.Errorf("restart-check: %w", err)
	}
	if err := saveReport(cfg, report); err != nil {
		fmt.Fprintln(stderr, "report not saved, /lab will not show it:", err)
	}
	said, err := asText(report), error(nil)
	if flags.JSON {
		said, err = asJSON(report)
	} else if flags.Markdown {
		said = asMarkdown(report)
	}
	if err == nil {
		_, err = io.WriteString(stdout, said)
	}
	if err != nil {
		return err
	}
	if err := report.Verdict(); err != nil {
		return fmt.Errorf("restart-check: %w", err)
	}
	return nil
}

func asText(report Report) string {
	var said strings.Builder
	table := tabwriter.NewWriter(&said, 0, 0, 2, ' ', 0)
	for _, cells := range reportCells(report) {
		fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	_ = table.Flush() // a strings.Builder returns no error
	return said.String() + "\n" + sentences(report, "")
}

func asMarkdown(report Report) string {
	said := ""
	for i, cells := range reportCells(report) {
		said += "| " + strings.Join(cells, " | ") + " |\n"
		if i == 0 {
			said += strings.Repeat("| --- ", len(cells)) + "|\n"
		}
	}
	return said + "\n" + sentences(report, "- ")
}

func asJSON(report Report) (string, error) {
	said, err := json.MarshalIndent(report, "", "  ")
	return string(said) + "\n", err
}

func sentences(report Report, mark string) string {
	all := ""
	for _, row := range report.Rows {
		all += mark + report.Sentence(row) + "\n"
	}
	return all
}

// reportCells returns the rows of the table, headings first.
func reportCells(report Report) [][]string {
	cells := [][]string{{
		"store", "before", "after restart", "after kill -9", "second server", "copied cookie",
		"memory for " + strconv.Itoa(report.Sessions) + " sessions", "size per session", "time per page",
	}}
	for _, row := range report.Rows {
		cells = append(cells, []string{
			row.Store, greeted(row.Before), greeted(row.AfterRestart), greeted(row.AfterKill), shared(row), copied(row),
			showGrowth(report, row), showBytes(row.SessionSize), showPage(row),
		})
	}
	return cells
}

func greeted(greeting string) string {
	if greeting == "" {
		return "logged out"
	}
	return greeting
}

func shared(row Row) string {
	switch {
	case row.Shared:
		return "recognised"
	case row.Refusal != "":
		return "refused to start"
	default:
		return "logged out"
	}
}

// copied says whether a copied cookie worked after logout or after a new password.
func copied(row Row) string {
	switch {
	case row.Copies == nil:
		return "not tried"
	case row.Copies.LogOut || row.Copies.Password:
		return "still works"
	default:
		return "ended"
	}
}

func showGrowth(report Report, row Row) string {
	switch {
	case row.Store == JWT:
		return "none stored"
	case report.Sessions < enough:
		return "too few sessions to tell"
	case report.growth(row) == 0:
		return "no growth"
	}
	return "+" + showBytes(row.MemoryGrowth)
}

func showPage(row Row) string {
	if row.Store == JWT {
		return "not timed" // its page is a bare one
	}
	return fmt.Sprintf("%.2f ms", float64(row.Greeting)/float64(time.Millisecond))
}

func showBytes(n int64) string {
	switch size := max(n, -n); {
	case size >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case size >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	default:
		return fmt.Sprintf("%d B", n)
	}
}
