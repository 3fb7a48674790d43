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
// waits, lines are dropped and counted; when it is done, a line says how many.
type lossy struct {
	next sync.Mutex // held by the caller whose line is being written
	line chan line

	mu      sync.Mutex
	stuck   bool // a write has waited too long, and still does
	dropped int
}

type line struct {
	text    []byte
	written chan struct{} // closed when it is
}

func newLossy(to io.Writer, report func(to io.Writer, lines int)) *lossy {
	l := &lossy{line: make(chan line, 1)}
	go func() {
		for line := range l.line {
			_, _ = to.Write(line.text) // there is nowhere to report a log that cannot be written
			l.mu.Lock()
			dropped := l.dropped
			l.stuck, l.dropped = false, 0
			close(line.written)
			l.mu.Unlock()
			if dropped > 0 {
				report(to, dropped)
			}
		}
	}()
	return l
}

// Write implements [io.Writer].
func (l *lossy) Write(p []byte) (int, error) {
	l.next.Lock()
	defer l.next.Unlock()
	if l.drops() {
		return len(p), nil
	}
	written := make(chan struct{})
	l.line <- line{bytes.Clone(p), written}
	select {
	case <-written:
	case <-time.After(logPatience):
		l.mu.Lock()
		defer l.mu.Unlock()
		select {
		case <-written:
		default:
			l.stuck = true
		}
	}
	return len(p), nil
}

// drops counts a line that is dropped because a write waits.
func (l *lossy) drops() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stuck {
		l.dropped++
	}
	return l.stuck
}
