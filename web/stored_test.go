package web_test

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/product"
)

const sessionPrefix = product.SessionKeys

// storedUnder returns the key of a token's session.
func storedUnder(token string) string {
	sum := sha256.Sum256([]byte(token))
	return sessionPrefix + base64.RawURLEncoding.EncodeToString(sum[:])
}

// do sends a command directly to this world's Redis, bypassing the site.
func (w *world) do(command string, args ...any) any {
	w.t.Helper()
	if w.past == nil || w.past.Err() != nil {
		w.past = w.dialRedis()
	}
	reply, err := w.past.Do(command, args...)
	if err != nil {
		w.t.Fatalf("%s: %v", command, err)
	}
	return reply
}

func (w *world) dialRedis() redis.Conn {
	w.t.Helper()
	limits := []redis.DialOption{redis.DialConnectTimeout(testkit.Patience), redis.DialReadTimeout(testkit.Patience), redis.DialWriteTimeout(testkit.Patience)}
	var conn redis.Conn
	var err error
	if w.stores.redis != nil {
		conn, err = redis.DialURL(w.stores.redisURL, limits...)
	} else {
		conn, err = redis.Dial("unix", filepath.Join(w.stores.dataDir, "redis.sock"), limits...)
	}
	require.NoError(w.t, err)
	w.t.Cleanup(func() { conn.Close() })
	return conn
}

// beatKey changes every second, even without requests.
const beatKey = product.Heartbeat

// keys returns all keys in Redis except the heartbeat.
func (w *world) keys() []string {
	w.t.Helper()
	keys, err := redis.Strings(w.do("KEYS", "*"), nil)
	require.NoError(w.t, err)
	keys = slices.DeleteFunc(keys, func(key string) bool { return strings.HasPrefix(key, beatKey) })
	slices.Sort(keys)
	return keys
}

// sessionKeys returns the keys of stored sessions.
func (w *world) sessionKeys() []string {
	w.t.Helper()
	return slices.DeleteFunc(w.keys(), func(key string) bool { return !strings.HasPrefix(key, sessionPrefix) })
}

// record returns what is stored for a token's session; "" for nothing.
func (w *world) record(token string) string {
	w.t.Helper()
	stored, err := redis.String(w.do("GET", storedUnder(token)), nil)
	if err != nil && err != redis.ErrNil {
		w.t.Fatal(err)
	}
	return stored
}

// wantNotStored checks that nothing is stored for a token's session.
func (w *world) wantNotStored(token string) {
	w.t.Helper()
	if stored := w.record(token); stored != "" {
		w.t.Errorf("still stored: %s", stored)
	}
}

// everything returns all data that the site has stored, Redis by key and the database
// by table and row, and counts of its requests to the lab.
func (w *world) everything() map[string]string {
	w.t.Helper()
	all := map[string]string{"lab": fmt.Sprint(w.lab.restarts.Load(), w.lab.checks.Load(), w.lab.seconds.Load(), w.attacks.runs.Load())}
	for _, key := range w.keys() {
		kind, err := redis.String(w.do("TYPE", key), nil)
		require.NoError(w.t, err)
		if left, err := redis.Int(w.do("PTTL", key), nil); err != nil || left > 0 && left <= 10_000 || kind == "none" {
			continue // a session of /lab/expire, which ends by itself
		}
		switch kind {
		case "string":
			all["redis "+key] = fmt.Sprintf("%q", w.do("GET", key))
		case "hash":
			all["redis "+key] = fmt.Sprintf("%q", w.do("HGETALL", key))
		case "zset":
			all["redis "+key] = fmt.Sprintf("%q", w.do("ZRANGE", key, 0, -1, "WITHSCORES"))
		case "set":
			members, err := redis.Strings(w.do("SMEMBERS", key), nil)
			require.NoError(w.t, err)
			slices.Sort(members)
			all["redis "+key] = fmt.Sprintf("%q", members)
		default:
			w.t.Fatalf("key %s is a %s", key, kind)
		}
	}
	for _, table := range w.tables() {
		for i, row := range w.rows(`SELECT * FROM ` + table) {
			all["table "+table+" "+strconv.Itoa(i)] = row
		}
	}
	return all
}

// tables returns all tables except the clock, which changes by itself.
func (w *world) tables() []string {
	w.t.Helper()
	if w.stores.databaseURL == "" {
		return w.rows(`SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'clock'`)
	}
	return w.rows(`SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_name <> 'clock'`)
}

// rows returns the rows that a query finds, each as text, sorted.
func (w *world) rows(query string, args ...any) []string {
	w.t.Helper()
	found, err := w.db.SQL().QueryContext(w.t.Context(), query, args...)
	if err != nil {
		w.t.Fatalf("%s: %v", query, err)
	}
	defer found.Close()
	columns, err := found.Columns()
	require.NoError(w.t, err)
	var rows []string
	for found.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		require.NoError(w.t, found.Scan(values...))
		texts := make([]string, len(columns))
		for i, value := range values {
			texts[i] = fmt.Sprint(*value.(*any))
		}
		rows = append(rows, strings.Join(texts, " | "))
	}
	require.NoError(w.t, found.Err())
	slices.Sort(rows)
	return rows
}

// wantRows checks how many rows a query finds.
func (w *world) wantRows(want int, query string, args ...any) {
	w.t.Helper()
	if rows := w.rows(query, args...); len(rows) != want {
		w.t.Errorf("%s: %d rows, want %d: %q", query, len(rows), want, rows)
	}
}

// sql changes the database, bypassing the site.
func (w *world) sql(query string, args ...any) {
	w.t.Helper()
	_, err := w.db.SQL().ExecContext(w.t.Context(), query, args...)
	require.NoError(w.t, err)
}

// wantUnchanged checks that nothing was stored or removed since before was taken. Rows
// of the tables in grown may have been added.
func (w *world) wantUnchanged(before map[string]string, doing string, grown ...string) {
	w.t.Helper()
	after := w.everything()
	for key := range after {
		mayGrow := slices.ContainsFunc(grown, func(table string) bool { return strings.HasPrefix(key, "table "+table+" ") })
		if before[key] != after[key] && !mayGrow {
			w.t.Errorf("%s stored %s: %.300s (before: %.300s)", doing, key, after[key], before[key])
		}
	}
	for key := range before {
		if _, found := after[key]; !found {
			w.t.Errorf("%s removed %s", doing, key)
		}
	}
}

// redisCalls returns how often each command was called in this world's database while
// during ran. It needs a real Redis.
func (w *world) redisCalls(during func()) map[string]int {
	w.t.Helper()
	monitor, err := redis.DialURL(w.stores.redisURL)
	require.NoError(w.t, err)
	defer monitor.Close()
	if _, err := monitor.Do("MONITOR"); err != nil {
		w.t.Fatal(err)
	}
	during()
	w.do("ECHO", "the end of it")
	_, database, _ := strings.Cut(strings.TrimPrefix(w.stores.redisURL, "redis://"), "/")
	calls := map[string]int{}
	for {
		line, err := redis.String(redis.ReceiveWithTimeout(monitor, time.Minute))
		require.NoError(w.t, err)
		sender, command, _ := strings.Cut(line, "] ") // as in: 1700000000.000000 [12 127.0.0.1:6379] "get" "key"
		name, _, _ := strings.Cut(strings.ToLower(strings.Trim(command, `"`)), `"`)
		switch {
		case !strings.Contains(sender, "["+cmp.Or(database, "0")+" "): // from another test
		case name == "echo":
			return calls
		case strings.Contains(command, beatKey), strings.HasSuffix(sender, " lua"), name == "select": // the heartbeat; what a script does; a new connection
		default:
			calls[name]++
		}
	}
}
