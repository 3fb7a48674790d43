package testkit

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
)

// Log captures what a program logs. The zero value is ready to use. It is safe for
// concurrent use.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements [io.Writer].
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String returns all that was logged.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Mark returns a position for [Log.Since].
func (l *Log) Mark() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Len()
}

// Since returns what was logged after mark.
func (l *Log) Since(mark int) string { return l.String()[mark:] }

// Has reports whether text was logged.
func (l *Log) Has(text string) bool { return strings.Contains(l.String(), text) }

// Count returns how often text was logged.
func (l *Log) Count(text string) int { return strings.Count(l.String(), text) }

// Logger returns a logger that writes key=value lines to l.
func (l *Log) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }
