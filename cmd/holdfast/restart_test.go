package main_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
	"holdfast/internal/dev/testservice"
	visit "holdfast/internal/visitor"
)

func TestWhoSurvivesARestart(t *testing.T) {
	t.Parallel()
	postgres := func(t testing.TB) testprocess.Settings { return onServices("", testkit.Postgres(t).URL) }
	for _, c := range []struct {
		name     string
		on       func(testing.TB) testprocess.Settings
		store    string
		says     string // the announced location of the sessions
		survives bool
	}{
		{"embedded Redis and SQLite", embedded, "redis", "the embedded Redis in .data", true},
		{"Redis and PostgreSQL", services, "redis", "Redis at 127.0.0.1:", true},
		{"file", embedded, "file", "the file .data", true},
		{"SQLite", embedded, "database", "the sessions table of SQLite in .data", true},
		{"PostgreSQL", postgres, "database", "the sessions table of PostgreSQL at 127.0.0.1:", true},
		{"memory", embedded, "memory", "this server’s memory", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			settings := c.on(t)
			settings["SESSION_STORE"] = c.store
			server := start(t, settings)
			if said := server.Announcement(); !strings.Contains(said, "sessions  "+c.says) {
				t.Errorf("sessions should be in %s:\n%s", c.says, said)
			}
			ada := member(t, server)
			mustBe(t, greeted, ada, "after registering")
			if c.survives {
				survive(t, server, ada)
			} else {
				forget(t, server, ada)
			}
		})
	}
}

// ends lists how a server stops: gracefully, and killed.
func ends() []struct {
	name string
	end  func(*testprocess.Server)
} {
	return []struct {
		name string
		end  func(*testprocess.Server)
	}{
		{"SIGTERM", (*testprocess.Server).Stop},
		{"kill -9", (*testprocess.Server).Kill},
	}
}

func survive(t *testing.T, server *testprocess.Server, ada *visitor) {
	t.Helper()
	if got := ada.get("/profile").fact("Server restarts survived"); got != "none yet" {
		t.Errorf("before any restart the session has outlived %q", got)
	}
	cookie := ada.token()
	outlived := []string{"1", "2"}
	for i, way := range ends() {
		way.end(server)
		server.Start()
		mustBe(t, greeted, ada, "after "+way.name)
		page := ada.get("/profile")
		if got := page.fact("Server restarts survived"); got != outlived[i] {
			t.Errorf("after %s the session has outlived %q, want %q", way.name, got, outlived[i])
		}
		if page.text(".warm") == "" {
			t.Errorf("after %s nothing says that the session is older than the server", way.name)
		}
	}
	if ada.token() != cookie {
		t.Error("a restart changed the cookie")
	}
	ada.logOut()
	mustBe(t, asked, ada, "after logging out")
	ada.logIn()
	mustBe(t, greeted, ada, "after logging in again")
}

func forget(t *testing.T, server *testprocess.Server, ada *visitor) {
	t.Helper()
	for _, way := range ends() {
		way.end(server)
		server.Start()
		mustBe(t, asked, ada, "after "+way.name)
		ada.logIn()
		mustBe(t, greeted, ada, "after logging in again")
	}
}

func TestInstancesShareSessionsAndCountStartsRight(t *testing.T) {
	t.Parallel()
	settings := services(t)
	first := start(t, settings)
	ada := member(t, first)
	second := start(t, settings)
	there := ada.at(second.URL)
	mustBe(t, greeted, there, "at a second instance")
	expect := func(v *visitor, where, want string) {
		t.Helper()
		if got := v.get("/profile").fact("Server restarts survived"); got != want {
			t.Errorf("at %s the session has outlived %q, want %q", where, got, want)
		}
	}
	expect(ada, "the instance of the log-in", "none yet")
	expect(there, "the second instance", "1")
	first.Kill()
	first.Start()
	expect(ada, "the first instance, started again", "2")
	expect(there, "the second instance, still the same", "1")

	later := there.stranger() // logs in at start 2 and visits start 3
	later.logIn()
	expect(later, "the instance of the log-in", "none yet")
	expect(later.at(first.URL), "the instance that started after it", "1")

	latest := ada.stranger() // logs in at start 3 and visits start 2, which is older
	latest.logIn()
	expect(latest.at(second.URL), "an instance older than the session", "none yet")

	there.logOut()
	mustBe(t, asked, ada, "at the first instance after logging out at the second")
	mustBe(t, greeted, later, "another browser of the same person")
}

func TestRedisHoldsTheHashedTokenWithATimeToLive(t *testing.T) {
	t.Parallel()
	server := testservice.Redis(t)
	settings := onServices(server.URL, "")
	settings["SESSION_IDLE_TIMEOUT"] = "20m"
	ada := member(t, start(t, settings))
	want := keyOf(ada)
	keys, err := redis.Strings(server.Do("KEYS", "holdfast:session:*"))
	if err != nil || len(keys) != 1 || keys[0] != want {
		t.Fatalf("keys are %q, %v; want %q", keys, err, want)
	}
	left, err := redis.Int64(server.Do("PTTL", want))
	if ttl := time.Duration(left) * time.Millisecond; err != nil || ttl <= 19*time.Minute || ttl > 20*time.Minute {
		t.Errorf("time to live %s, %v; want the idle timeout of 20m", ttl, err)
	}
	record, err := redis.String(server.Do("GET", want))
	if err != nil || strings.Contains(record, ada.token()) || !strings.Contains(record, ada.name) {
		t.Errorf("the record is %q, %v; want the name and no token", record, err)
	}
	ada.logOut()
	if left, err := redis.Int(server.Do("EXISTS", want)); err != nil || left != 0 {
		t.Errorf("after logging out the key is still there (%v)", err)
	}
}

// keyOf returns the Redis key of a visitor's session, which has the hash of the token.
func keyOf(v *visitor) string {
	v.t.Helper()
	return visit.Key(v.token())
}
