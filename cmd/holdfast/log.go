package main

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/internal/config"
)

func newLog(cfg config.Config, w io.Writer) *slog.Logger {
	if file, ok := w.(*os.File); ok && !regular(file) {
		w = &lossy{to: file, direct: slog.New(logHandler(cfg, file))}
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
// waits, lines are dropped and counted; when it is done, a line says how many. The
// handlers of log/slog call Write for one line at a time.
type lossy struct {
	to      io.Writer
	direct  *slog.Logger // logs to the same writer
	writing sync.Mutex   // locked while a write waits
	dropped atomic.Int64
}

// Write implements [io.Writer].
func (l *lossy) Write(p []byte) (int, error) {
	if !l.writing.TryLock() {
		l.dropped.Add(1)
		return len(p), nil
	}
	line, written := bytes.Clone(p), make(chan struct{})
	go func() {
		defer close(written)
		defer l.writing.Unlock()
		_, _ = l.to.Write(line) // there is nowhere to report a log that cannot be written
		for dropped := l.dropped.Swap(0); dropped > 0; dropped = l.dropped.Swap(0) {
			l.direct.Warn("log lines dropped: nothing read the log", "lines", dropped)
		}
	}()
	select {
	case <-written:
	case <-time.After(logPatience):
	}
	return len(p), nil
}
