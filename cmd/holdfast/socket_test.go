package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testprocess"
	"holdfast/internal/dev/testservice"
)

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
