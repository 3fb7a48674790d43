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

	"holdfast/internal/dev/testservice"
)

// said are commands that a Redis server and this one answer in the same words.
// Where a line begins with ~, numbers may differ. The last one ends redis-cli.
const said = `
PING
PING hello
ECHO hello
ECHO
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
EXPIRETIME name
PEXPIRETIME name
TTL nothing
PTTL nothing
EXPIRETIME nothing
PEXPIRETIME nothing
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
OBJECT FREQ name
OBJECT IDLETIME nothing
~OBJECT IDLETIME name
SET number 41
OBJECT ENCODING number
INCR number
INCRBY number 10
DECRBY number 2
DECR number
INCR name
INCRBY number few
INCRBY number 9223372036854775807
DECRBY number -9223372036854775808
INCR fresh
SET long 123456789012345678901234567890123456789012345
OBJECT ENCODING long
SET empty ""
GET empty
STRLEN empty
SET name Ada NX
SET name Ada XX
SET other Ada XX
SET other Ada NX
SET name Lovelace GET
SET nothing2 Ada XX GET
SET third Ada NX GET
SET third Grace NX GET
SET name Ada NX XX
SET name Ada EX
SET name Ada EX soon
SET name Ada EX 0
SET name Ada PX -1
SET name Ada EX 10 PX 10
SET name Ada EX 9223372036854775807
SET name Ada FOREVER
SET name Ada EX 100
TTL name
~PTTL name
~EXPIRETIME name
~PEXPIRETIME name
SET name Grace KEEPTTL
TTL name
GET name
APPEND name " Hopper"
TTL name
GET name
PERSIST name
PERSIST name
PERSIST nothing
TTL name
SET name Ada PX 100000
TTL name
SET name Ada EXAT 4000000000
EXPIRETIME name
PEXPIRETIME name
SET name Ada PXAT 4000000000123
EXPIRETIME name
PEXPIRETIME name
SET gone Ada EXAT 1000000000
EXISTS gone
SETEX name 100 Ada
SETEX name 0 Ada
SETEX name soon Ada
PSETEX name 100000 Ada
TTL name
SETNX name Grace
SETNX newer Grace
GETSET newer Hopper
TTL newer
GETEX newer
GETEX newer EX 100
TTL newer
GETEX newer PERSIST
TTL newer
GETEX newer FOREVER
GETEX nothing EX 100
GETDEL newer
GETDEL newer
GETRANGE name 0 0
GETRANGE name -2 -1
GETRANGE name 5 9
GETRANGE nothing 0 -1
GETRANGE name 0 end
MSET one 1 two 2
MSET one 1 two
MGET one nothing two
EXPIRE one 100
EXPIRE one 100 NX
EXPIRE one 50 GT
EXPIRE one 200 GT
EXPIRE one 50 LT
TTL one
EXPIRE one 100 XX
EXPIRE two 100 XX
EXPIRE two 100 GT
EXPIRE two 100 LT
EXPIRE one 10 NX GT
EXPIRE one 10 LT GT
EXPIRE one 10 SOON
EXPIRE one soon
EXPIRE one 9223372036854775807
EXPIRE nothing 10
PEXPIRE one 100000
TTL one
EXPIREAT one 4000000000
EXPIRETIME one
PEXPIREAT one 4000000000123
PEXPIRETIME one
EXPIRE one 0
EXISTS one
EXPIRE two -1
EXISTS two
SET from 1 EX 1000
RENAME from to
TTL to
RENAME from to
SET from 2
RENAMENX from to
RENAMENX from to2
RENAMENX from to2
RENAME to2 to
GET to
TOUCH to nothing
DEL to nothing
DEL to
UNLINK other third
COMMAND INFO nosuchcommand
HELLO nine
HELLO 4
HELLO 2 SOMETHING
AUTH secret
AUTH default anything
AUTH Ada secret
CLIENT GETNAME
CLIENT SETNAME "two words"
CLIENT SETNAME ada
~CLIENT ID
CONFIG GET maxmemory-policy
CONFIG GET MAXMEMORY-P*
CONFIG GET appendonly
CONFIG GET nosuchsetting
CONFIG GET
EXEC
DISCARD
FLUSHDB SOON
FLUSHDB
DBSIZE
RANDOMKEY
FLUSHALL ASYNC
QUIT
`

// answers asks all at once and returns the answer to each line.
func (c cli) answers(lines []string) []string {
	c.t.Helper()
	const end = "the end of an answer"
	var asked []string
	for _, line := range lines {
		asked = append(asked, line, `ECHO "`+end+`"`)
	}
	answers := strings.Split(c.typed(asked...), `"`+end+"\"\n")
	if len(answers) != len(lines) {
		c.t.Fatalf("%d answers to %d lines: %q", len(answers), len(lines), answers)
	}
	return answers
}

func TestRedisCLIIsAnsweredAsByRedis(t *testing.T) {
	t.Parallel()
	_, port, _ := net.SplitHostPort(testservice.PrivateRedis(t, "--databases", "1").Addr)
	real, ours := cli{t, []string{"-p", port}}, cliOf(t, open(t, t.TempDir()))
	numbers := regexp.MustCompile(`\d+`)
	plain := strings.Split(strings.ReplaceAll(strings.TrimSpace(said), "\n~", "\n"), "\n")
	wanted, gotten := real.answers(plain), ours.answers(plain)
	for i, line := range strings.Split(strings.TrimSpace(said), "\n") {
		want, got := wanted[i], gotten[i]
		if strings.HasPrefix(line, "~") {
			want, got = numbers.ReplaceAllString(want, "N"), numbers.ReplaceAllString(got, "N")
		}
		if strings.HasPrefix(line, "TTL") && near(want, got) {
			continue
		}
		if strings.HasPrefix(line, "KEYS") || strings.HasPrefix(line, "SCAN") {
			want, got = sorted(want), sorted(got)
		}
		if got != want {
			t.Errorf("%s\nRedis: %sours:  %s", line, want, got)
		}
	}
}

// near reports whether two times to live differ by no more than a busy machine
// makes them.
func near(a, b string) bool {
	var x, y int
	_, errA := fmt.Sscanf(a, "(integer) %d", &x)
	_, errB := fmt.Sscanf(b, "(integer) %d", &y)
	return errA == nil && errB == nil && x > 0 && y > 0 && max(x, y)-min(x, y) <= int(patience.Seconds())
}

func TestTransactionsAreAnsweredAsByRedis(t *testing.T) {
	t.Parallel()
	_, port, _ := net.SplitHostPort(testservice.PrivateRedis(t).Addr)
	real, ours := cli{t, []string{"-p", port}}, cliOf(t, open(t, t.TempDir()))
	for _, lines := range [][]string{
		{"MULTI", "SET a 1", "INCR a", "GET a", "EXEC", "GET a"},
		{"MULTI", "SET a Ada", "INCR a", "SET b 2", "EXEC", "MGET a b"},
		{"MULTI", "SET a lost", "DISCARD", "GET a"},
		{"MULTI", "SET a lost", "NOSUCHCOMMAND", "SET b lost", "EXEC", "MGET a b", "EXEC"},
		{"MULTI", "SET a", "DISCARD"},
		{"MULTI", "MULTI", "PING", "EXEC"},
		{"MULTI", "SET a lost", "RESET", "GET a", "EXEC"},
		{"MULTI", "EXEC"},
	} {
		unknown := regexp.MustCompile(`\(error\) ERR (unknown command|this is).*`)
		want, got := unknown.ReplaceAllString(real.typed(lines...), ""), unknown.ReplaceAllString(ours.typed(lines...), "")
		if got != want {
			t.Errorf("%q\nRedis:\n%s\nours:\n%s", lines, want, got)
		}
	}
	for _, line := range []string{"FLUSHALL", "MONITOR"} { // which Redis does in its own way
		if got := ours.typed("MULTI", line, "EXEC"); !strings.Contains(got, "Command not allowed inside a transaction") || !strings.Contains(got, "EXECABORT") {
			t.Errorf("%s within MULTI:\n%s", line, got)
		}
	}
}

// sorted lists the names in an answer, whose order is the server's own.
func sorted(answer string) string {
	names := regexp.MustCompile(`"[^"]*"|\(.*`).FindAllString(answer, -1)
	slices.Sort(names)
	return strings.Join(names, "\n") + "\n"
}

// TestAnswersHaveTheTypesOfRedis compares what no two servers say in the same
// words.
func TestAnswersHaveTheTypesOfRedis(t *testing.T) {
	t.Parallel()
	address := testservice.PrivateRedis(t).Addr
	real, err := redis.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer real.Close()
	ours := dial(t, open(t, t.TempDir()))
	for _, line := range []string{
		"SET name Ada", "INFO", "INFO server", "INFO memory keyspace", "INFO nosuchsection", "HELLO", "HELLO 2", "HELLO 2 AUTH default x SETNAME ada", "CLIENT GETNAME",
		"CLIENT INFO", "CLIENT LIST", "CLIENT ID", "COMMAND", "COMMAND COUNT", "COMMAND LIST", "COMMAND INFO get mset",
		"COMMAND DOCS", "COMMAND DOCS ping", "CONFIG GET *", "SCAN 0", "TIME", "ROLE", "RANDOMKEY", "MEMORY USAGE name", "MEMORY USAGE nothing",
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

// TestRESP3IsRefusedAsByAServerThatIsOlder: redis-cli -3 then stays with RESP2.
func TestRESP3IsRefusedAsByAServerThatIsOlder(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	if _, err := dial(t, s).Do("HELLO", "3"); err == nil || !strings.HasPrefix(err.Error(), "NOPROTO ") {
		t.Errorf("HELLO 3: %v", err)
	}
	if out := cliOf(t, s).run("-3", "PING"); !strings.Contains(out, "PONG") {
		t.Errorf("redis-cli -3: %s", out)
	}
}

// shape is the type of an answer; of a long array, that of its first two
// elements.
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
	t.Parallel()
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
	t.Parallel()
	s := open(t, t.TempDir())
	ours := cliOf(t, s)
	for name, c := range map[string]struct {
		lines []string
		want  []string
	}{
		"help":        {[]string{"HELP SET"}, []string{"key value [NX | XX]", "Sets the string value of a key", "since:", "group:"}},
		"transaction": {[]string{"MULTI", "SET a 1", "GET a", "EXEC"}, []string{"QUEUED", `2) "1"`}},
		"info":        {[]string{"INFO"}, []string{"# Server", "server_name:redka", "# Memory", "used_memory_human:", "# Keyspace"}},
		"clients":     {[]string{"CLIENT SETNAME ada", "CLIENT INFO", "CLIENT LIST"}, []string{"name=ada", "addr=" + s.Socket() + ":0"}},
		"settings":    {[]string{"CONFIG GET *"}, []string{"maxmemory-policy", "noeviction", s.Socket()}},
	} {
		out := ours.typed(c.lines...)
		for _, want := range c.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: want %q in\n%s", name, want, out)
			}
		}
	}
	keys := do(t, dial(t, s), "DBSIZE")
	for _, option := range []string{"--bigkeys", "--memkeys"} {
		if out := ours.run(option); !strings.Contains(out, fmt.Sprintf("Sampled %d keys", keys)) {
			t.Errorf("%s: %s", option, out)
		}
	}
}

func TestACommandThatIsNotThereIsToldWhatThisIs(t *testing.T) {
	t.Parallel()
	ours := cliOf(t, open(t, t.TempDir()))
	const says = "ERR this is the Redis embedded in Holdfast (Redka); it has no %s. Set REDIS_URL for a real Redis\n"
	for line, name := range map[string]string{
		"EVALSHA 0123456789012345678901234567890123456789 0": "EVALSHA",
		"xadd s * a b":           "XADD",
		"HSET a b c":             "HSET",
		"CONFIG SET maxmemory 1": "CONFIG SET",
		"CLIENT KILL ID 4":       "CLIENT KILL ID 4",
		"OBJECT HELP":            "OBJECT HELP",
		"MEMORY DOCTOR":          "MEMORY DOCTOR",
		`"line\r\nbreak"`:        "LINE  BREAK",
	} {
		// redis-cli writes the answer of MEMORY DOCTOR as it is.
		if got, want := strings.TrimPrefix(ours.typed(line), "(error) "), fmt.Sprintf(says, name); got != want {
			t.Errorf("%s:\n%swant\n%s", line, got, want)
		}
	}
}
