package embeddedredis_test

import (
	"fmt"
	"net"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testservice"
)

// said holds commands to which a Redis server and this one give the same replies. On
// lines that begin with ~, numbers may differ.
const said = `
PING
PING hello
SELECT 0
SELECT 1
SELECT first
GET nothing
SET name Ada
set name Grace
SET name
GET name
GET name too
STRLEN name
STRLEN nothing
TYPE name
TYPE nothing
EXISTS name
EXISTS name name nothing
TTL name
PTTL name
TTL nothing
PTTL nothing
DBSIZE
KEYS *
KEYS n[^b]m?
KEYS n\ame
KEYS N*
SCAN 0
SCAN 0 MATCH na* COUNT 100
SCAN 0 TYPE string
SCAN 0 TYPE list
SCAN 0 TYPE stringy
SCAN zero
SCAN 0 COUNT 0
SCAN 0 COUNT many
SCAN 0 MATCH
SCAN 0 SINCE 4
OBJECT ENCODING name
OBJECT ENCODING nothing
OBJECT REFCOUNT name
OBJECT IDLETIME nothing
~OBJECT IDLETIME name
SET number 41
OBJECT ENCODING number
SET long 123456789012345678901234567890123456789012345
OBJECT ENCODING long
SET empty ""
GET empty
STRLEN empty
SET name Ada NX
SET name Ada XX
SET other Ada XX
SET other Ada NX
SET name Ada NX XX
SET name Ada EX
SET name Ada EX soon
SET name Ada EX 0
SET name Ada PX -1
SET name Ada EX 10 PX 10
SET name Ada EX 9223372036854775807
SET name Ada FOREVER
SET name Ada EX 100
~TTL name
~PTTL name
SET name Ada PX 100000
~TTL name
SET name Ada
~TTL name
MGET name nothing number
PEXPIREAT name 4000000000123
~TTL name
PEXPIREAT nothing 4000000000123
PEXPIREAT name soon
PEXPIREAT name 1
EXISTS name
EVALSHA 0123456789012345678901234567890123456789 0
EVAL "return redis.call('GET', KEYS[1]) or 'none'" 1 number
EVAL "return redis.call('GET', KEYS[1]) or 'none'" 1 nothing
EVALSHA 0123456789012345678901234567890123456789 1 number
EVAL "return redis.call('GET', KEYS[1]) or 'none'" 2 number
EVAL "return redis.call('GET', KEYS[1]) or 'none'" -1 number
EVAL "return redis.call('GET', KEYS[1]) or 'none'" many number
EVAL "redis.call('SET', KEYS[1], ARGV[1]); return redis.error_reply('BEHIND it was stored')" 1 stored yes
GET stored
SET to 1
DEL to nothing
DEL to
HELLO 4
HELLO 2 SOMETHING
EXEC
DISCARD
QUIT
FLUSHDB SOON
FLUSHDB
DBSIZE
`

func TestRedisCLIIsAnsweredAsByRedis(t *testing.T) {
	_, port, _ := net.SplitHostPort(testservice.PrivateRedis(t, "--databases", "1").Addr)
	real, ours := cli{t, []string{"-p", port}}, cliOf(t, open(t, t.TempDir()))
	numbers := regexp.MustCompile(`\d+`)
	for line := range strings.Lines(strings.TrimSpace(said)) {
		line = strings.TrimSuffix(line, "\n")
		line, loosely := strings.CutPrefix(line, "~")
		want, got := real.typed(line), ours.typed(line)
		if loosely {
			want, got = numbers.ReplaceAllString(want, "N"), numbers.ReplaceAllString(got, "N")
		}
		if strings.HasPrefix(line, "KEYS") || strings.HasPrefix(line, "SCAN") {
			want, got = sorted(want), sorted(got)
		}
		if got != want {
			t.Errorf("%s\nRedis: %sours:  %s", line, want, got)
		}
	}
}

func TestTransactionsAreAnsweredAsByRedis(t *testing.T) {
	_, port, _ := net.SplitHostPort(testservice.PrivateRedis(t).Addr)
	real, ours := cli{t, []string{"-p", port}}, cliOf(t, open(t, t.TempDir()))
	for _, lines := range [][]string{
		{"MULTI", "SET a 1", "STRLEN a", "GET a", "EXEC", "GET a"},
		{"MULTI", "SET a Ada", "PEXPIREAT a soon", "SET b 2", "EXEC", "MGET a b"},
		{"MULTI", "SET a lost", "DISCARD", "GET a"},
		{"MULTI", "SET a lost", "NOSUCHCOMMAND", "SET b lost", "EXEC", "MGET a b", "EXEC"},
		{"MULTI", "SET a", "DISCARD"},
		{"MULTI", "MULTI", "GET a", "EXEC"},
		{"MULTI", "EXEC"},
	} {
		unknown := regexp.MustCompile(`\(error\) ERR (unknown command|this is).*`)
		want, got := unknown.ReplaceAllString(real.typed(lines...), ""), unknown.ReplaceAllString(ours.typed(lines...), "")
		if got != want {
			t.Errorf("%q\nRedis:\n%s\nours:\n%s", lines, want, got)
		}
	}
	// Redis accepts FLUSHDB here.
	if got := ours.typed("MULTI", "FLUSHDB", "EXEC"); !strings.Contains(got, "Command not allowed inside a transaction") || !strings.Contains(got, "EXECABORT") {
		t.Errorf("FLUSHDB within MULTI:\n%s", got)
	}
}

// sorted returns the names in a reply, sorted, because each server has its own order.
func sorted(answer string) string {
	names := regexp.MustCompile(`"[^"]*"|\(.*`).FindAllString(answer, -1)
	slices.Sort(names)
	return strings.Join(names, "\n") + "\n"
}

// TestAnswersHaveTheTypesOfRedis compares replies whose text always differs between two
// servers.
func TestAnswersHaveTheTypesOfRedis(t *testing.T) {
	address := testservice.PrivateRedis(t).Addr
	real, err := redis.Dial("tcp", address)
	require.NoError(t, err)
	defer real.Close()
	ours := dial(t, open(t, t.TempDir()))
	for _, line := range []string{
		"SET name Ada", "INFO", "INFO server", "INFO memory keyspace", "INFO nosuchsection", "COMMAND COUNT", "COMMAND LIST", "SCAN 0",
	} {
		words := strings.Fields(line)
		args := make([]any, len(words)-1)
		for i, word := range words[1:] {
			args[i] = word
		}
		answers := make([]string, 2)
		for i, conn := range []redis.Conn{real, ours} {
			answer, err := conn.Do(words[0], args...)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			answers[i] = shape(answer)
		}
		if answers[0] != answers[1] {
			t.Errorf("%s\nRedis: %s\nours:  %s", line, answers[0], answers[1])
		}
	}
}

// TestRESP3IsRefusedAsByAServerThatIsOlder: redis-cli -3 then falls back to RESP2.
func TestRESP3IsRefusedAsByAServerThatIsOlder(t *testing.T) {
	s := open(t, t.TempDir())
	if _, err := dial(t, s).Do("HELLO", "3"); err == nil || !strings.HasPrefix(err.Error(), "NOPROTO ") {
		t.Errorf("HELLO 3: %v", err)
	}
	if out := cliOf(t, s).run("-3", "PING"); !strings.Contains(out, "PONG") {
		t.Errorf("redis-cli -3: %s", out)
	}
}

// shape returns the type of a reply; for a long array, that of its first two elements.
func shape(answer any) string {
	elements, isArray := answer.([]any)
	if !isArray {
		return fmt.Sprint(reflect.TypeOf(answer))
	}
	var inside []string
	for _, element := range elements[:min(len(elements), 2)] {
		inside = append(inside, shape(element))
	}
	return "[" + strings.Join(inside, " ") + "]"
}

func TestRedisCLIScansAThousandKeys(t *testing.T) {
	s := open(t, t.TempDir())
	conn := dial(t, s)
	want := make([]string, 1000)
	for i := range want {
		want[i] = fmt.Sprintf("holdfast:session:%04d", i)
		conn.Send("SET", want[i], "{}", "PX", 600_000)
	}
	conn.Send("SET", "other", "1")
	conn.Flush()
	for range len(want) + 1 {
		if _, err := conn.Receive(); err != nil {
			t.Fatal(err)
		}
	}
	ours := cliOf(t, s)
	if got := strings.Fields(ours.run("--scan")); len(got) != 1001 {
		t.Errorf("--scan lists %d keys, want 1001", len(got))
	}
	got := strings.Fields(ours.run("--scan", "--pattern", "holdfast:*"))
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("--scan --pattern lists %d keys, want these 1000 alone", len(got))
	}
	if info := ours.run("INFO", "keyspace"); !strings.Contains(info, "db0:keys=1001,expires=1000,avg_ttl=") {
		t.Errorf("INFO keyspace: %s", info)
	}
}

func TestRedisCLIFindsItsWay(t *testing.T) {
	s := open(t, t.TempDir())
	ours := cliOf(t, s)
	for name, c := range map[string]struct {
		lines []string
		want  []string
	}{
		"transaction": {[]string{"MULTI", "SET a 1", "GET a", "EXEC"}, []string{"QUEUED", `2) "1"`}},
		"info":        {[]string{"INFO"}, []string{"# Server", "server_name:redka", "embedded_in:Kelp", "# Memory", "used_memory_human:", "# Keyspace"}},
		"script":      {[]string{"SET b 2", `EVALSHA ` + sha(scripts[0]) + ` 1 b`}, []string{`"2"`}},
	} {
		out := ours.typed(c.lines...)
		for _, want := range c.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: want %q in\n%s", name, want, out)
			}
		}
	}
}

func TestACommandThatIsNotThereIsToldWhatThisIs(t *testing.T) {
	ours := cliOf(t, open(t, t.TempDir()))
	const says = "ERR this is the Redis embedded in Kelp (Redka); it has no %s. Set REDIS_URL for a real Redis\n"
	for line, name := range map[string]string{
		`EVAL "return 1" 0`:      "LUA, ONLY THE SCRIPTS OF THE PROGRAM",
		"xadd s * a b":           "XADD",
		"CONFIG SET maxmemory 1": "CONFIG",
		"OBJECT FREQ a":          "OBJECT FREQ",
		"COMMAND INFO get":       "COMMAND INFO",
		`"line\r\nbreak"`:        "LINE  BREAK",
	} {
		if got, want := strings.TrimPrefix(ours.typed(line), "(error) "), fmt.Sprintf(says, name); got != want {
			t.Errorf("%s:\n%swant\n%s", line, got, want)
		}
	}
}
