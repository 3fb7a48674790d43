package main_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
	"holdfast/internal/dev/testservice"
)

// backWithin is how soon everything must work again by itself once a store is
// back.
var backWithin = within(2 * time.Second)

// onRedis starts a server on a Redis, with Ada logged in.
func onRedis(t testing.TB, store *testservice.RedisServer) (*testprocess.Server, *visitor) {
	t.Helper()
	server := start(t, onServices(store.URL, ""))
	return server, member(t, server)
}

func must(t testing.TB, store *testservice.RedisServer, command string, args ...any) {
	t.Helper()
	if _, err := store.Do(command, args...); err != nil {
		t.Fatalf("%s %v: %v", command, args, err)
	}
}

// mustHold stops the test unless a Redis has v's session, which has ended. Otherwise it
// would test nothing.
func mustHold(t testing.TB, store *testservice.RedisServer, v *visitor) {
	t.Helper()
	if n, err := redis.Int(store.Do("EXISTS", keyOf(v))); n != 1 || err != nil {
		t.Fatalf("the Redis at %s does not have the session that ended (%v)", store.Addr, err)
	}
}

// loggedOnce checks that the loss of the store and its return are each logged once,
// however many requests noticed them.
func loggedOnce(t testing.TB, server *testprocess.Server, what string) {
	t.Helper()
	for _, event := range []string{`"session store un` + what + `"`, `"session store ` + what + ` again"`} {
		event = strings.ReplaceAll(event, "unwritable", "not writable")
		mustLogOnce(t, server, event)
	}
}

// cannotEnter fails the test unless a login is refused with a 503.
func cannotEnter(t testing.TB, v *visitor) {
	t.Helper()
	mustRefuseBriefly(t, "logging in")(v.stranger().tryLogIn())
}

// mustKeepAda checks the responses while sessions cannot be read: Ada gets a 503 and
// keeps her cookie, and guests notice nothing.
func mustKeepAda(t testing.TB, ada *visitor) {
	t.Helper()
	for _, path := range []string{"/", "/profile", "/session", "/login"} {
		mustRefuseBriefly(t, path+" with a session cookie")(ada.get(path), nil)
	}
	guest := ada.stranger()
	for path, want := range map[string]int{
		"/": 200, "/register": 200, "/login": 200, "/session": 200, "/profile": 303, "/nowhere": 404,
		"/healthz": 200, "/readyz": 503, "/favicon.ico": 200,
	} {
		if got := guest.get(path); got.Code != want {
			t.Errorf("%s as a guest: %d, want %d", path, got.Code, want)
		}
	}
	style := guest.get("/").page.Find(`link[rel="stylesheet"]`).AttrOr("href", "")
	if got := ada.get(style); got.Code != http.StatusOK {
		t.Errorf("a static file with a session cookie: %d", got.Code)
	}
	cannotEnter(t, ada)
}

func TestRedisStoppedEndsNoSession(t *testing.T) {
	t.Parallel()
	store := testservice.PrivateRedis(t, "--appendonly", "yes")
	server, ada := onRedis(t, store)
	cookie := ada.token()
	store.Stop()
	mustKeepAda(t, ada)
	mustRefuseBriefly(t, "a change")(ada.ask("POST", "/session", map[string][]string{"key": {"colour"}, "value": {"green"}}))
	store.Start()
	steady(t, backWithin, "with Redis back", ada, server)
	if ada.token() != cookie {
		t.Error("the cookie changed")
	}
	testkit.Eventually(t, backWithin, "ready again", func() error { return ready(ada) })
	if page := ada.get("/session"); strings.Contains(page.text("table.values"), "colour") {
		t.Error("a change that was refused was stored")
	}
	loggedOnce(t, server, "reachable")
}

func TestRedisConnectionsCutAreReplaced(t *testing.T) {
	t.Parallel()
	store := testservice.PrivateRedis(t)
	_, ada := onRedis(t, store)
	for range 5 {
		must(t, store, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
		mustBe(t, greeted, ada, "right after all connections were cut")
		must(t, store, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
		ada.stranger().logIn()
	}
}

func TestRedisFullLetsNobodyInAndGreetsThoseWhoAre(t *testing.T) {
	t.Parallel()
	store := testservice.PrivateRedis(t)
	server, ada := onRedis(t, store)
	leaver := ada.stranger()
	leaver.logIn()
	// A notice waits for Ada's next page, and showing it requires a write.
	ada.send("/account", "/account/name", map[string]string{"name": ada.name})
	must(t, store, "CONFIG", "SET", "maxmemory-policy", "noeviction")
	must(t, store, "CONFIG", "SET", "maxmemory", "1")
	cannotEnter(t, ada)
	cannotEnter(t, ada)
	mustBe(t, greeted, ada, "with Redis full")
	leaver.logOut()
	mustBe(t, asked, leaver, "having logged out with Redis full")
	must(t, store, "CONFIG", "SET", "maxmemory", "0")
	// Not as Ada yet: her next page would use up the notice.
	testkit.Steadily(t, backWithin, "with room again", func() error { return entered(ada.stranger().tryLogIn()) })
	for _, want := range []string{"Your name has been changed.", ""} {
		if said := ada.get("/profile").text(".notices"); said != want {
			t.Errorf("with room again the notice reads %q, want %q", said, want)
		}
	}
	mustBe(t, greeted, ada, "with room again")
	mustLog(t, server, "OOM")
}

func TestRedisReadOnlyLetsNobodyIn(t *testing.T) {
	t.Parallel()
	store := testservice.PrivateRedis(t)
	server, ada := onRedis(t, store)
	unused := strconv.Itoa(testservice.FreePort(t))
	must(t, store, "REPLICAOF", "127.0.0.1", unused)
	for range 3 {
		cannotEnter(t, ada)
	}
	must(t, store, "REPLICAOF", "NO", "ONE")
	steady(t, backWithin, "with Redis taking writes again", ada, server)
	loggedOnce(t, server, "writable")
	mustLog(t, server, "READONLY")
}

func TestRedisWithoutItsMasterKeepsEveryoneWaiting(t *testing.T) {
	t.Parallel()
	store := testservice.PrivateRedis(t)
	server, ada := onRedis(t, store)
	must(t, store, "CONFIG", "SET", "replica-serve-stale-data", "no")
	must(t, store, "REPLICAOF", "127.0.0.1", strconv.Itoa(testservice.FreePort(t)))
	for range 3 {
		mustKeepAda(t, ada)
	}
	must(t, store, "REPLICAOF", "NO", "ONE")
	steady(t, backWithin, "with Redis answering again", ada, server)
	loggedOnce(t, server, "reachable")
}

func TestRedisPasswordChangedAtRunTimeRecovers(t *testing.T) {
	t.Parallel()
	store := testservice.PrivateRedis(t)
	server, ada := onRedis(t, store)
	operator, err := redis.DialURL(store.URL)
	require.NoError(t, err)
	defer operator.Close()
	for _, command := range [][]any{
		{"CONFIG", "SET", "requirepass", "rotated"},
		{"AUTH", "rotated"},
		{"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"},
	} {
		_, err := operator.Do(command[0].(string), command[1:]...)
		require.NoError(t, err)
	}
	for range 3 {
		mustKeepAda(t, ada)
	}
	_, err = operator.Do("CONFIG", "SET", "requirepass", "")
	require.NoError(t, err)
	steady(t, backWithin, "with Redis answering again", ada, server)
	loggedOnce(t, server, "reachable")
	mustLog(t, server, "NOAUTH")
}

func TestRedisHoldingJunkUnderASessionKeyMakesAGuest(t *testing.T) {
	t.Parallel()
	store := testservice.Redis(t)
	_, ada := onRedis(t, store)
	for _, junk := range []string{"junk", "", `{"v":999}`, strings.Repeat("x", 10<<20)} {
		v := ada.stranger()
		v.logIn()
		must(t, store, "SET", keyOf(v), junk, "KEEPTTL")
		mustBe(t, asked, v, fmt.Sprintf("with %.10q under the key", junk))
		mustBe(t, greeted, ada, "another session")
	}
}

// TestRedisAnsweringWithAnothersRecordShowsItToNobody: a reply with another session's
// record yields no page and an alert in the log.
func TestRedisAnsweringWithAnothersRecordShowsItToNobody(t *testing.T) {
	t.Parallel()
	store := testservice.Redis(t)
	server, ada := onRedis(t, store)
	other := ada.stranger()
	other.logIn()
	record, err := redis.Bytes(store.Do("GET", keyOf(other)))
	require.NoError(t, err)
	must(t, store, "SET", keyOf(ada), record, "KEEPTTL")
	for _, path := range []string{"/", "/profile", "/session"} {
		mustRefuseBriefly(t, path+" with another's record")(ada.get(path), nil)
	}
	mustLog(t, server, `level=ERROR msg="session store reply rejected: wrong key" cause="ALERT`)
	mustBe(t, greeted, other, "whose record it is")
}

// TestRedisFlushedMakesGuestsAndBreaksNothing: if the heartbeat notices older data
// between a request's read and its response, the request reads again.
func TestRedisFlushedMakesGuestsAndBreaksNothing(t *testing.T) {
	t.Parallel()
	store := testservice.Redis(t)
	server, ada := onRedis(t, store)
	var over atomic.Bool
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for !over.Load() {
				if got, err := ada.ask("GET", "/profile", nil); err == nil && got.Code == http.StatusServiceUnavailable {
					t.Errorf("status %d, %s", got.Code, got.text("h1"))
					return
				}
				<-time.After(pause)
			}
		})
	}
	for range 5 {
		must(t, store, "FLUSHDB")
		// When there is a watermark again, the check of the new connection has
		// finished. Losing data during the check is a different failure.
		testkit.Eventually(t, answerLimit, "the end of the check", func() error { _, err := watermark(store); return err })
	}
	over.Store(true)
	asking.Wait()
	staysAsked(t, backWithin, "with nothing in Redis", ada, server)
	testkit.Steadily(t, backWithin, "with nothing in Redis", func() error {
		for _, path := range []string{"/", "/session", "/readyz"} {
			if got := ada.get(path); got.Code != http.StatusOK {
				return fmt.Errorf("%s: %d", path, got.Code)
			}
		}
		return nil
	})
	ada.logIn()
	mustBe(t, greeted, ada, "having logged in again")
}
