package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// measureGo runs the Go benchmarks of all packages.
func measureGo(ctx context.Context, l *lab) (section, error) {
	packages := []string{"holdfast/internal/...", "holdfast/web/..."}
	args := append([]string{"test", "-run", "^$", "-bench", ".", "-benchmem", "-count", "1"}, packages...)
	out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
	if err != nil {
		return section{}, fmt.Errorf("go test -bench: %w\n%s", err, out)
	}
	found := table{head: []string{"benchmark", "time", "bytes allocated", "allocations"}}
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		b, ok := parseBenchmark(lines.Text())
		if ok {
			found.row(b.name, b.figures["ns/op"]+" ns", b.figures["B/op"], b.figures["allocs/op"])
		}
	}
	return section{
		title:  "Inside",
		text:   "Go benchmarks of the steps of a greeting and of a log-in; those with Redis in their name, and Do, wait for a real one.",
		tables: []table{found},
	}, nil
}

// benchmark is one line of go test -bench.
type benchmark struct {
	name    string
	figures map[string]string // by unit
}

func parseBenchmark(line string) (benchmark, bool) {
	fields := strings.Fields(line)
	if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
		return benchmark{}, false
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(fields[0], "Benchmark"), "-") // DecodeRecord-2: 2 processors
	b := benchmark{name: name, figures: map[string]string{}}
	for i := 2; i+1 < len(fields); i += 2 {
		b.figures[fields[i+1]] = fields[i]
	}
	return b, true
}
