package embeddedredis

import (
	"errors"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/nalgeon/redka"
	"github.com/tidwall/redcon"
)

// version is the Redis version that the server reports and whose replies it
// imitates. Clients derive from it which commands and which protocol to expect.
const version = "7.0.0"

// command describes one command of the server. Exactly one of control and run is
// set.
type command struct {
	arity  int // number of arguments including the name; negative: at least that many
	writes bool
	// control replies immediately, even between MULTI and EXEC. It returns nil if it
	// has already replied.
	control func(s *Server, c *client, args [][]byte) any
	// run works on keys. A redis.Error is sent to the client; any other error rolls the
	// transaction back.
	run func(s *Server, tx Tx, args [][]byte) (any, error)
	// failed reads the keys after the transaction of run could not be stored. If it
	// returns an error, that is the reply instead of MISCONF.
	failed func(s *Server, tx Tx, args [][]byte) error
}

// commandTable lists the commands by name.
func commandTable() map[string]command {
	return map[string]command{
		"ping":    {arity: -1, control: ping},
		"hello":   {arity: -1, control: hello},
		"select":  {arity: 2, control: selectDatabase},
		"quit":    {arity: -1, control: quit},
		"multi":   {arity: 1, control: multi},
		"exec":    {arity: 1, control: exec},
		"discard": {arity: 1, control: discard},
		"info":    {arity: -1, control: info},
		"command": {arity: -1, control: describeCommands},
		"flushdb": {arity: -1, control: flush},
		"monitor": {arity: 1, control: startMonitor},

		"get":       {arity: 2, run: get},
		"mget":      {arity: -2, run: mget},
		"strlen":    {arity: 2, run: strlen},
		"set":       {arity: -3, writes: true, run: set},
		"del":       {arity: -2, writes: true, run: del},
		"exists":    {arity: -2, run: exists},
		"type":      {arity: 2, run: typeOf},
		"object":    {arity: 3, run: object},
		"ttl":       {arity: 2, run: timeLeft(time.Second)},
		"pttl":      {arity: 2, run: timeLeft(time.Millisecond)},
		"pexpireat": {arity: 3, writes: true, run: expireAt},
		"scan":      {arity: -2, run: scan},
		"keys":      {arity: 2, run: listKeys},
		"dbsize":    {arity: 1, run: dbSize},
		"eval":      {arity: -3, writes: true, run: eval, failed: evalFailed},
		"evalsha":   {arity: -3, writes: true, run: eval, failed: evalFailed},
	}
}

// Redis 7.0 replies that several commands use.
const (
	errSyntax    = redis.Error("ERR syntax error")
	errNoInteger = redis.Error("ERR value is not an integer or out of range")
	ok           = redcon.SimpleString("OK")
)

func ping(_ *Server, _ *client, args [][]byte) any {
	switch len(args) {
	case 0:
		return redcon.SimpleString("PONG")
	case 1:
		return args[0]
	}
	return redis.Error("ERR wrong number of arguments for 'ping' command")
}

// hello refuses RESP3, as an older Redis does (NOPROTO in the documentation of
// HELLO); clients then stay with RESP2.
func hello(_ *Server, _ *client, args [][]byte) any {
	if len(args) > 0 && string(args[0]) != "2" {
		return redis.Error("NOPROTO unsupported protocol version")
	}
	if len(args) > 1 {
		return redis.Error("ERR Syntax error in HELLO option '" + string(args[1]) + "'")
	}
	return []any{"server", "redis", "version", version, "proto", redcon.SimpleInt(2), "mode", "standalone", "role", "master", "modules", []any{}}
}

func selectDatabase(_ *Server, _ *client, args [][]byte) any {
	switch n, err := integer(args[0]); {
	case err != nil:
		return err
	case n != 0:
		return redis.Error("ERR DB index is out of range")
	}
	return ok
}

func quit(_ *Server, c *client, _ [][]byte) any {
	c.WriteAny(ok)
	_ = c.Close() // flushes first; the connection ends either way
	return nil
}

func multi(_ *Server, c *client, _ [][]byte) any {
	if c.inMulti {
		return redis.Error("ERR MULTI calls can not be nested")
	}
	c.inMulti = true
	return ok
}

func discard(_ *Server, c *client, _ [][]byte) any {
	if !c.inMulti {
		return redis.Error("ERR DISCARD without MULTI")
	}
	c.inMulti, c.refused, c.queue = false, false, nil
	return ok
}

func exec(s *Server, c *client, _ [][]byte) any {
	queue, refused := c.queue, c.refused
	if _, failed := discard(s, c, nil).(redis.Error); failed {
		return redis.Error("ERR EXEC without MULTI")
	}
	if refused {
		return redis.Error("EXECABORT Transaction discarded because of previous errors.")
	}
	replies := s.run(queue...)
	for i, reply := range replies {
		// If the transaction could not be stored, that is the only reply.
		if err, failed := reply.(redis.Error); failed && strings.HasPrefix(string(err), "MISCONF ") {
			return err
		}
		s.monitors.show(s.socket, queue[i].words)
	}
	return replies
}

func flush(s *Server, c *client, args [][]byte) any {
	switch {
	case len(args) > 1 || (len(args) == 1 && !is(args[0], "async") && !is(args[0], "sync")):
		return errSyntax
	case c.inMulti: // Redka empties a database only outside transactions
		c.refused = true
		return redis.Error("ERR Command not allowed inside a transaction")
	}
	if err := s.db.Key().DeleteAll(); err != nil {
		s.Log.Error("embedded Redis command failed", "cause", err)
		return redis.Error("MISCONF " + err.Error())
	}
	return ok
}

func get(_ *Server, tx Tx, args [][]byte) (any, error) {
	value, err := tx.Get(string(args[0]))
	if value == nil {
		return nil, err // the null reply
	}
	return value, err
}

func mget(_ *Server, tx Tx, args [][]byte) (any, error) {
	found, err := tx.redka.Str().GetMany(texts(args)...)
	replies := make([]any, len(args))
	for i, key := range args {
		if value, ok := found[string(key)]; ok {
			replies[i] = []byte(value)
		}
	}
	return replies, err
}

func strlen(_ *Server, tx Tx, args [][]byte) (any, error) {
	value, err := tx.Get(string(args[0]))
	return len(value), err
}

// set implements SET key value [NX | XX] [EX seconds | PX milliseconds].
func set(_ *Server, tx Tx, args [][]byte) (any, error) {
	key, value := string(args[0]), args[1]
	var ttl time.Duration
	var missing, present bool
	for options := args[2:]; len(options) > 0; options = options[1:] {
		unit := time.Duration(0)
		switch option := options[0]; {
		case is(option, "nx") && !present:
			missing = true
			continue
		case is(option, "xx") && !missing:
			present = true
			continue
		case is(option, "ex"):
			unit = time.Second
		case is(option, "px"):
			unit = time.Millisecond
		}
		if unit == 0 || ttl != 0 || len(options) < 2 {
			return nil, errSyntax
		}
		n, err := integer(options[1])
		if err != nil {
			return nil, err
		}
		if n <= 0 || n > math.MaxInt64/int64(unit) {
			return nil, redis.Error("ERR invalid expire time in 'set' command")
		}
		ttl, options = time.Duration(n)*unit, options[1:]
	}
	if missing || present {
		n, err := tx.Exists(key)
		if err != nil || (n == 1) != present {
			return nil, err
		}
	}
	return ok, tx.Set(key, value, ttl)
}

func del(_ *Server, tx Tx, args [][]byte) (any, error) {
	return tx.Delete(texts(args)...)
}

// exists counts a key as often as it is listed.
func exists(_ *Server, tx Tx, args [][]byte) (any, error) {
	sum := 0
	for _, key := range args {
		n, err := tx.Exists(string(key))
		if err != nil {
			return nil, err
		}
		sum += n
	}
	return sum, nil
}

func typeOf(_ *Server, tx Tx, args [][]byte) (any, error) {
	k, found, err := tx.look(string(args[0]))
	if !found {
		return redcon.SimpleString("none"), err
	}
	return redcon.SimpleString(k.TypeName()), nil
}

// object implements OBJECT. Redka stores all strings the same way; the encoding is what
// Redis would use for a string of these bytes: up to 44 bytes it stores the string in
// one piece with the object. Redka records when a key was written, not when it was
// read, so the idle time counts from the write.
func object(s *Server, tx Tx, args [][]byte) (any, error) {
	const embedded = 44
	k, found, err := tx.look(string(args[1]))
	switch about := args[0]; {
	case !is(about, "encoding") && !is(about, "idletime") && !is(about, "refcount"):
		return nil, s.unknown([]byte("OBJECT"), about)
	case err != nil || !found:
		return nil, err
	case is(about, "idletime"):
		return int(time.Since(time.UnixMilli(k.MTime)).Seconds()), nil
	case is(about, "refcount"):
		return 1, nil
	case k.Type != redka.TypeString:
		return "raw", nil
	}
	value, err := tx.Get(string(args[1]))
	if _, no := integer(value); no == nil {
		return "int", err
	}
	if len(value) <= embedded {
		return "embstr", err
	}
	return "raw", err
}

// timeLeft implements TTL and PTTL: -1 means no expiry, -2 a key that does not exist.
func timeLeft(unit time.Duration) func(*Server, Tx, [][]byte) (any, error) {
	return func(_ *Server, tx Tx, args [][]byte) (any, error) {
		k, found, err := tx.look(string(args[0]))
		switch {
		case !found:
			return -2, err
		case k.ETime == nil:
			return -1, nil
		}
		left := time.Duration(max(*k.ETime-time.Now().UnixMilli(), 0)) * time.Millisecond
		return int(left.Round(unit) / unit), nil
	}
}

func expireAt(_ *Server, tx Tx, args [][]byte) (any, error) {
	at, err := integer(args[1])
	if err != nil {
		return nil, err
	}
	err = tx.redka.Key().ExpireAt(string(args[0]), time.UnixMilli(at))
	if errors.Is(err, redka.ErrNotFound) {
		return 0, nil
	}
	return 1, err
}

func listKeys(_ *Server, tx Tx, args [][]byte) (any, error) {
	found, err := tx.redka.Key().Keys(glob(string(args[0])))
	return names(found), err
}

func names(keys []redka.Key) []any {
	all := make([]any, len(keys))
	for i, k := range keys {
		all[i] = k.Key
	}
	return all
}

// scan uses Redka's key ids, which increase, so every key that exists during the
// whole iteration is returned once.
func scan(_ *Server, tx Tx, args [][]byte) (any, error) {
	cursor, err := strconv.ParseUint(string(args[0]), 10, 63)
	if err != nil {
		return nil, redis.Error("ERR invalid cursor")
	}
	pattern, kind, count := "*", redka.TypeAny, int64(10)
	options := args[1:]
	if len(options)%2 != 0 {
		return nil, errSyntax
	}
	for ; len(options) > 0; options = options[2:] {
		switch value := options[1]; {
		case is(options[0], "match"):
			pattern = glob(string(value))
		case is(options[0], "count"):
			if count, err = integer(value); err != nil {
				return nil, err
			}
			if count < 1 {
				return nil, errSyntax
			}
		case is(options[0], "type"):
			if kind = redka.TypeString; !is(value, "string") {
				kind = noType
			}
		default:
			return nil, errSyntax
		}
	}
	// One key more than requested shows whether the iteration is complete.
	page := int(min(count, math.MaxInt32))
	result, err := tx.redka.Key().Scan(int(cursor), pattern, kind, page+1)
	if err != nil {
		return nil, err
	}
	found, next := result.Keys, 0
	if len(found) > page {
		found = found[:page]
		next = found[page-1].ID
	}
	return []any{strconv.Itoa(next), names(found)}, nil
}

// noType is a type that no stored key has.
const noType = redka.TypeID(-1)

func dbSize(_ *Server, tx Tx, _ [][]byte) (any, error) {
	return tx.redka.Key().Len()
}

// glob converts a Redis pattern to one of SQLite, which has no backslash: the
// character after it is literal.
func glob(pattern string) string {
	return regexp.MustCompile(`(?s)\\.`).ReplaceAllStringFunc(pattern, func(escaped string) string {
		literal := escaped[1:]
		if strings.Contains("*?[", literal) {
			return "[" + literal + "]"
		}
		return literal
	})
}

func texts(args [][]byte) []string {
	all := make([]string, len(args))
	for i, arg := range args {
		all[i] = string(arg)
	}
	return all
}

// integer parses a number as Redis does: no plus sign, no leading zeros.
func integer(arg []byte) (int64, error) {
	n, err := strconv.ParseInt(string(arg), 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != string(arg) {
		return 0, errNoInteger
	}
	return n, nil
}

// is compares an option or a subcommand, ignoring case.
func is(arg []byte, word string) bool { return strings.EqualFold(string(arg), word) }
