package main

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"holdfast/internal/config"
)

func newLog(cfg config.Config, w io.Writer) *slog.Logger {
	if file, ok := w.(*os.File); ok && !regular(file) {
		w = newLossy(file, func(w io.Writer, lines int) {
			slog.New(logHandler(cfg, w)).Warn("log lines dropped: nothing read the log", "lines", lines)
		})
	}
	return slog.New(logHandler(cfg, w))
}

func logHandler(cfg config.Config, w io.Writer) slog.Handler {
	options := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogFormat == "json" {
		return slog.NewJSONHandler(w, options)
	}
	return slog.NewTextHandler(w, options)
}

// regular reports whether writes to a file never wait for a reader.
func regular(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && info.Mode().IsRegular()
}

// logPatience is how long a request waits for its log line to be written.
const logPatience = 100 * time.Millisecond

// lossy writes to a pipe, socket or terminal that may have no reader. While one write
// waits, lines are dropped and counted; the next line that is written says how many.
type lossy struct {
	report func(w io.Writer, lines int)

	mu      sync.Mutex
	lines   chan []byte
	written chan struct{}
	stuck   bool // a write waits
	dropped int
}

func newLossy(to io.Writer, report func(io.Writer, int)) *lossy {
	l := &lossy{report: report, lines: make(chan []byte), written: make(chan struct{})}
	go func() {
		for line := range l.lines {
			_, _ = to.Write(line) // there is nowhere to report a log that cannot be written
			l.written <- struct{}{}
		}
	}()
	return l
}

// Write implements [io.Writer].
func (l *lossy) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stuck {
		select {
		case <-l.written:
			l.stuck = false
		default:
			l.dropped++
			return len(p), nil
		}
	}
	var line bytes.Buffer
	if l.dropped > 0 {
		l.report(&line, l.dropped)
		l.dropped = 0
	}
	line.Write(p)
	l.lines <- line.Bytes()
	select {
	case <-l.written:
	case <-time.After(logPatience):
		l.stuck = true
	}
	return len(p), nil
}
