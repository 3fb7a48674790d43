package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/dev/testservice"
)

// section is what one measurement found, in words and tables.
type section struct {
	title, text string
	tables      []table
	notes       []string
}

type table struct {
	head []string
	rows [][]string
}

func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

const preface = `# Benchmarks

Written by ` + "`make bench`" + `; any change made here by hand is lost with its next run.

Read the ratios, not the speeds. All of this ran on one machine, shared by the servers, Redis, the load generator and
whatever else was going on, so that a figure says how two things compare on that machine on that day, and nothing about
how fast either would be elsewhere. No test fails for any of it.
`

// report puts the sections and the circumstances into one Markdown file.
func (l *lab) report(ctx context.Context, sections []section) (string, error) {
	var b strings.Builder
	b.WriteString(preface)
	for _, s := range sections {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", s.title, s.text)
		for _, t := range s.tables {
			t.write(&b)
		}
		if len(s.notes) > 0 {
			b.WriteString("\n")
		}
		for _, note := range s.notes {
			fmt.Fprintf(&b, "- %s\n", note)
		}
	}
	circumstances, err := l.circumstances(ctx)
	if err != nil {
		return "", err
	}
	b.WriteString("\n## Measured with\n")
	circumstances.write(&b)
	return b.String(), nil
}

func (t table) write(b *strings.Builder) {
	fmt.Fprintf(b, "\n| %s |\n|%s\n", strings.Join(t.head, " | "), strings.Repeat(" --- |", len(t.head)))
	for _, row := range t.rows {
		fmt.Fprintf(b, "| %s |\n", strings.Join(row, " | "))
	}
}

// circumstances are what the figures depend on.
func (l *lab) circumstances(ctx context.Context) (table, error) {
	t := table{head: []string{"what", "which"}}
	t.row("day", time.Now().UTC().Format("2 January 2006"))
	t.row("processors", fmt.Sprintf("%d of %s, %s/%s", runtime.NumCPU(), processor(), runtime.GOOS, runtime.GOARCH))
	t.row("Go", strings.TrimPrefix(runtime.Version(), "go"))
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, module := range build.Deps {
			switch module.Path {
			case "github.com/labstack/echo/v4", "github.com/alexedwards/scs/v2",
				"github.com/alexedwards/scs/redisstore", "github.com/gomodule/redigo":
				t.row(strings.TrimPrefix(module.Path, "github.com/"), module.Version)
			}
		}
	}
	info, err := redis.String(l.redis.Do("INFO", "server"))
	if err != nil {
		return table{}, err
	}
	t.row("Redis", lineAfter(info, "redis_version:")+", nothing kept on disk")
	var postgres string
	if l.bench.borrow(func(t testing.TB) { postgres = testservice.Program(t, "postgres") }) == nil {
		if out, err := exec.CommandContext(ctx, postgres, "--version").Output(); err == nil {
			t.row("PostgreSQL", lineAfter(string(out), "postgres (PostgreSQL) "))
		}
	}
	// wrk prints its version when asked for help, and then reports failure.
	help, _ := exec.CommandContext(ctx, "wrk", "--version").CombinedOutput()
	version, _, _ := strings.Cut(lineAfter(string(help), "wrk "), " [")
	t.row("wrk", version)
	return t, nil
}

// lineAfter returns what follows prefix on the line that begins with it.
func lineAfter(text, prefix string) string {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, prefix); ok {
			return strings.TrimSpace(rest)
		}
	}
	return "unknown"
}

// processor is the model's name, where the system tells it.
func processor() string {
	file, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown model"
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown model"
}
