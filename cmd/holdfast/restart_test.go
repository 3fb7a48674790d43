package main_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
	"holdfast/internal/dev/testservice"
	visit "holdfast/internal/visitor"
)

func TestWhoSurvivesARestart(t *testing.T) {
	t.Parallel()
	postgres := func(t testing.TB) testprocess.Settings { return onServices("", testkit.Postgres(t).URL) }
	type stored struct {
		on       func(testing.TB) testprocess.Settings
		store    string
		says     string // the announced location of the sessions
		survives bool
	}
	each(t, map[string]stored{
		"embedded Redis and SQLite": {embedded, "redis", "the embedded Redis in .data", true},
		"Redis and PostgreSQL":      {services, "redis", "Redis at 127.0.0.1:", true},
		"file":                      {embedded, "file", "the file .data", true},
		"SQLite":                    {embedded, "database", "the sessions table of SQLite in .data", true},
		"PostgreSQL":                {postgres, "database", "the sessions table of PostgreSQL at 127.0.0.1:", true},
		"memory":                    {embedded, "memory", "this server’s memory", false},
	}, func(t *testing.T, _ string, c stored) {
		settings := c.on(t)
		settings["SESSION_STORE"] = c.store
		server := start(t, settings)
		if said := server.Announcement(); !strings.Contains(said, "sessions  "+c.says) {
			t.Errorf("sessions should be in %s:\n%s", c.says, said)
		}
		ada := member(t, server)
		if got := ada.get("/profile").fact("Server restarts survived"); got != "none yet" {
			t.Errorf("before any restart the session has outlived %q", got)
		}
		cookie := ada.token()
		for i, how := range ends() {
			how.end(server)
			server.Start()
			if !c.survives {
				mustBe(t, asked, ada, "after "+how.name)
				ada.logIn()
				mustBe(t, greeted, ada, "after logging in again")
				continue
			}
			mustBe(t, greeted, ada, "after "+how.name)
			page := ada.get("/profile")
			if got, want := page.fact("Server restarts survived"), strconv.Itoa(i+1); got != want {
				t.Errorf("after %s the session has outlived %q, want %q", how.name, got, want)
			}
			if page.text(".warm") == "" {
				t.Errorf("after %s nothing says that the session is older than the server", how.name)
			}
		}
		if c.survives && ada.token() != cookie {
			t.Error("a restart changed the cookie")
		}
		ada.logOut()
		mustBe(t, asked, ada, "after logging out")
		ada.logIn()
		mustBe(t, greeted, ada, "after logging in again")
	})
}

// ending is how a server stops.
type ending struct {
	name string
	end  func(*testprocess.Server)
}

func ends() []ending {
	return []ending{{"SIGTERM", (*testprocess.Server).Stop}, {"kill -9", (*testprocess.Server).Kill}}
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

// shortDir returns a directory with a path short enough for a socket.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "s")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestTwoServersShareTheEmbeddedRedisThroughItsSocket(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(shortDir(t), "an odd # 100%?")
	first := start(t, testprocess.Settings{"DATA_DIR": dir})
	socket := first.Says("redis")
	ada := member(t, first)
	second := start(t, testprocess.Settings{"DATA_DIR": dir, "REDIS_URL": socket})
	if where := second.Says("sessions"); where != "Redis at "+filepath.Join(dir, "redis.sock") {
		t.Errorf("with REDIS_URL=%s sessions are in %s", socket, where)
	}
	mustBe(t, greeted, ada.at(second.URL), "at the second server")
	bob := member(t, second)
	mustBe(t, greeted, bob.at(first.URL), "at the first server")
	thief := ada.thief()
	ada.at(second.URL).logOut()
	mustBe(t, asked, thief, "after a logout at the second server")
	mustSucceed(t, second.Command("sessions", "end-all", "--email", bob.email))
	staysAsked(t, backWithin, "after the end of all sessions", bob, first)

	bob.logIn()
	first.Kill()
	mustRefuseBriefly(t, "the greeting, with the first server gone")(bob.ask("GET", "/profile", nil))
	first.Start()
	steady(t, backWithin, "with the first server back", bob, second)
	mustBe(t, greeted, bob.at(first.URL), "at the first server again")
}

func TestARealRedisIsReachedThroughASocket(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(shortDir(t), "redis.sock")
	store := testservice.PrivateRedis(t, "--unixsocket", socket, "--requirepass", "ses#ame")
	server := start(t, testprocess.Settings{"REDIS_URL": "unix://default:ses%23ame@" + socket + "?db=3", "REDIS_TIMEOUT": ""})
	ada := member(t, server)
	conn, err := redis.DialURL(store.URL+"/3", redis.DialPassword("ses#ame"))
	require.NoError(t, err)
	defer conn.Close()
	keys, err := redis.Strings(conn.Do("KEYS", "holdfast:session:*"))
	if err != nil || len(keys) != 1 {
		t.Errorf("in database 3: %q, %v", keys, err)
	}
	server.Stop()
	server.Start()
	steady(t, backWithin, "after a restart", ada, server)
	lines := ada.get("/explain").page.Find("[data-copy]").Text()
	if !strings.Contains(lines, "redis-cli -s "+socket+" -n 3 --user default --askpass GET ") {
		t.Errorf("the lines on /explain: %s", lines)
	}
}
