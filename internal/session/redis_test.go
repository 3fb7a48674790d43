package session

import (
	"context"
	"io"
	"log/slog"
	"testing"

	"github.com/gomodule/redigo/redis"
)

func TestARequestThatWaitedInVainStalesNoConnection(t *testing.T) {
	r := &redisCells{}
	log := slog.New(slog.DiscardHandler)
	r.reach.log, r.room.log = log, log
	for _, c := range []struct {
		err   error
		stale bool
	}{
		{context.Canceled, false}, {context.DeadlineExceeded, false}, {io.EOF, true}, {redis.Error("OOM command not allowed"), false},
		{redis.Error("READONLY You can't write"), true}, {redis.Error("NOSCRIPT No matching script"), false}, {redis.Error("LOADING Redis is loading"), true},
	} {
		before := r.generation.Load()
		_ = r.note("GET", c.err)
		if stale := r.generation.Load() != before; stale != c.stale {
			t.Errorf("%v: other connections are stale: %t, want %t", c.err, stale, c.stale)
		}
	}
}
