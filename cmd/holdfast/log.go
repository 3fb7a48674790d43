package main

import (
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
	next    sync.Mutex // held by the caller whose line is being written
	line    []byte     // the writer's while a write waits
	lines   chan []byte
	written chan struct{}
	timer   *time.Timer

	mu      sync.Mutex
	stuck   bool // a write has waited too long, and still does
	dropped int
}

func newLossy(to io.Writer, report func(to io.Writer, lines int)) *lossy {
	l := &lossy{lines: make(chan []byte, 1), written: make(chan struct{}, 1), timer: time.NewTimer(logPatience)}
	go func() {
		for line := range l.lines {
			_, _ = to.Write(line) // there is nowhere to report a log that cannot be written
			if dropped := l.done(); dropped > 0 {
				report(to, dropped)
			}
		}
	}()
	return l
}

// done ends the wait for a write, and returns how many lines were dropped meanwhile.
func (l *lossy) done() (dropped int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.stuck {
		l.written <- struct{}{}
	}
	dropped, l.stuck, l.dropped = l.dropped, false, 0
	return dropped
}

// Write implements [io.Writer].
func (l *lossy) Write(p []byte) (int, error) {
	l.next.Lock()
	defer l.next.Unlock()
	if l.drops() {
		return len(p), nil
	}
	l.line = append(l.line[:0], p...)
	l.timer.Reset(logPatience)
	l.lines <- l.line
	select {
	case <-l.written:
	case <-l.timer.C:
		l.mu.Lock()
		defer l.mu.Unlock()
		select {
		case <-l.written:
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
