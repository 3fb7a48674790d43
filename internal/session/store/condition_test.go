package store

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// TestAnOutageIsLoggedOnceWhoeverNotices covers commands that end late: one of those that
// failed together may report that after another has succeeded, and one that succeeded
// before the outage may report that during it.
func TestAnOutageIsLoggedOnceWhoeverNotices(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	r := &redisStore{reads: condition{log: slog.New(slog.NewTextHandler(&log, nil)), down: "it is down", up: "it is up"}}
	failed := errors.New("no reply")
	began := time.Now()
	r.observe("GET", began, failed)
	r.observe("GET", began, nil)
	if strings.Contains(log.String(), "it is up") {
		t.Error("a command that began before the outage ended it")
	}
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
