package store

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// TestAnOutageIsLoggedOnceWhoeverNotices covers commands that failed together: one of
// them may report its failure only after another command has succeeded.
func TestAnOutageIsLoggedOnceWhoeverNotices(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	r := &redisStore{reads: condition{log: slog.New(slog.NewTextHandler(&log, nil)), down: "it is down", up: "it is up"}}
	failed := errors.New("no reply")
	began := time.Now()
	r.observe("GET", began, failed)
	r.observe("GET", time.Now(), nil)
	r.observe("GET", began, failed)
	r.observe("GET", began, nil)
	for _, want := range []string{"it is down", "it is up"} {
		if n := strings.Count(log.String(), want); n != 1 {
			t.Errorf("%q is %d times in the log, want once:\n%s", want, n, log.String())
		}
	}
	r.observe("GET", time.Now(), failed)
	if n := strings.Count(log.String(), "it is down"); n != 2 {
		t.Errorf("another outage: %d lines\n%s", n, log.String())
	}
}
