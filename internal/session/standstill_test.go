package session_test

import (
	"context"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/session"
)

func TestAStandstillLogsNobodyOutAndEndsByItself(t *testing.T) {
	w := on(t, onEmbedded)
	m := w.open(brisk)
	ada := w.browser(m).logIn(w.ada)
	over, err := m.StandStill(4 * budget)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		begun := time.Now()
		_, err := ada.load()
		mustFail(t, err, session.ErrUnavailable, "while Redis stands still")
		if took := time.Since(begun); took > 3*budget {
			t.Errorf("said so after %s, with %s to answer in", took, budget)
		}
	}
	begun := time.Now()
	plain, err := m.DialRedis(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	again, err := m.StandStill(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := redis.String(plain.Do("PING")); err != nil || time.Since(begun) < budget {
		t.Errorf("a connection without limits: %v after %s; want it to wait", err, time.Since(begun))
	}
	for _, channel := range []<-chan struct{}{over, again} {
		select {
		case <-channel:
		case <-time.After(patience):
			t.Fatal("the standstill did not end by itself, or a second one made it longer")
		}
	}
	if who := ada.who(); who != "Ada" {
		t.Errorf("afterwards greeted as %q", who)
	}
}

func TestOnlyTheEmbeddedRedisIsMadeToStandStill(t *testing.T) {
	embedded, memory := on(t, onEmbedded).open(), on(t, onMemory).open()
	others := on(t, onRedis).open()
	for name, c := range map[string]struct {
		m           *session.Manager
		still, dial error
		embedded    bool
	}{
		"embedded Redis": {embedded, nil, nil, true},
		"Redis":          {others, session.ErrNotEmbedded, nil, false},
		"memory":         {memory, session.ErrNotEmbedded, session.ErrNoRedis, false},
	} {
		if got := c.m.Embedded(); got != c.embedded {
			t.Errorf("%s: embedded %t", name, got)
		}
		if _, err := c.m.StandStill(time.Millisecond); err != c.still {
			t.Errorf("%s: stand still: %v, want %v", name, err, c.still)
		}
		conn, err := c.m.DialRedis(context.Background())
		if err != c.dial {
			t.Errorf("%s: dial: %v, want %v", name, err, c.dial)
			continue
		}
		if conn == nil {
			continue
		}
		if _, err := conn.Do("PING"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		conn.Close()
	}
}
