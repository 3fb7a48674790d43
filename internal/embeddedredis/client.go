package embeddedredis

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/nalgeon/redka"
	"github.com/tidwall/redcon"

	"holdfast/internal/sqlitefile"
)

// client is the state of a connection: a transaction between MULTI and EXEC.
type client struct {
	redcon.Conn
	inMulti bool
	refused bool // one of its commands was refused
	queue   []call
}

// call is a command with its arguments.
type call struct {
	command
	words [][]byte // name and arguments
}

func (s *Server) admit(conn redcon.Conn) bool {
	conn.SetContext(&client{Conn: conn})
	s.clients.Add(1)
	s.working.Add(1)
	return true
}

func (s *Server) dismiss(redcon.Conn, error) {
	s.clients.Add(-1)
	s.working.Done()
}

// serve replies to one command.
func (s *Server) serve(conn redcon.Conn, cmd redcon.Command) {
	if end := s.pause.Load(); end != nil {
		select {
		case <-*end:
		case <-s.closing:
		}
	}
	s.commands.Add(1)
	c := conn.Context().(*client)
	do, err := s.find(cmd.Args)
	if err != nil {
		c.refused = c.inMulti
		conn.WriteAny(err)
		return
	}
	switch {
	case do.control != nil:
		reply := do.control(s, c, do.words[1:])
		if reply == nil {
			return // this loop no longer owns the connection
		}
		conn.WriteAny(reply)
	case c.inMulti:
		c.queue = append(c.queue, do)
		conn.WriteString("QUEUED")
		return // monitors see it when it is executed
	default:
		conn.WriteAny(s.run(do)[0])
	}
	s.monitors.show(s.socket, do.words)
}

// find looks up a command and checks its number of arguments.
func (s *Server) find(args [][]byte) (call, error) {
	name := strings.ToLower(string(args[0]))
	found, ok := s.table[name]
	if !ok {
		return call{}, s.unknown(args[0])
	}
	if (found.arity > 0 && len(args) != found.arity) || len(args) < -found.arity {
		return call{}, redis.Error(fmt.Sprintf("ERR wrong number of arguments for '%s' command", name))
	}
	return call{found, args}, nil
}

// unknown is the reply to a command, or a part of one, that the server does not
// support.
func (s *Server) unknown(words ...[]byte) redis.Error {
	const longest = 64 // bytes of the client's words that are repeated
	name := ""
	for _, word := range words {
		name += " " + strings.ToUpper(strings.ToValidUTF8(string(word[:min(len(word), longest)]), "?"))
	}
	return redis.Error("ERR this is the Redis embedded in " + s.Product + " (Redka); it has no" + name + ". Set REDIS_URL for a real Redis")
}

// run executes calls in one transaction and returns a reply for each. As in Redis,
// a command that fails does not undo the others. If the data cannot be stored, none
// of them has an effect.
func (s *Server) run(calls ...call) []any {
	replies := make([]any, len(calls))
	transaction := s.db.View
	if slices.ContainsFunc(calls, func(do call) bool { return do.writes }) {
		transaction = s.db.Update
	}
	attempt := func(tx *redka.Tx) error {
		for i, do := range calls {
			reply, err := do.run(s, Tx{tx}, do.words[1:])
			if refusal, ok := errors.AsType[redis.Error](err); ok {
				reply, err = refusal, nil
			}
			if err != nil {
				return err
			}
			if n, isInt := reply.(int); isInt {
				reply = redcon.SimpleInt(n)
			}
			replies[i] = reply
		}
		return nil
	}
	err := transaction(attempt)
	if sqlitefile.Full(err) && s.DiskFull != nil {
		s.DiskFull()
		err = transaction(attempt)
	}
	if err != nil {
		for i, do := range calls {
			replies[i] = s.failure(do, err)
		}
	}
	return replies
}

// failure is the reply to a command whose transaction failed. For a write, the
// reply has the code of a Redis that cannot write its files.
func (s *Server) failure(do call, err error) any {
	if !do.writes {
		return redis.Error("ERR " + err.Error())
	}
	if do.failed != nil {
		failed := s.db.View(func(tx *redka.Tx) error { return do.failed(s, Tx{tx}, do.words[1:]) })
		if reply, ok := errors.AsType[redis.Error](failed); ok {
			return redis.Error(string(reply) + ": " + err.Error())
		}
		if failed != nil {
			return redis.Error("ERR " + failed.Error())
		}
	}
	return redis.Error("MISCONF " + sqlitefile.Explain(err).Error())
}

// Tx gives a command or a script access to keys in one SQLite transaction.
type Tx struct{ redka *redka.Tx }

// errWrongType is Redis's reply to a string command on a key of another type.
const errWrongType = redis.Error("WRONGTYPE Operation against a key holding the wrong kind of value")

// Get returns the value under key, nil if there is none.
func (tx Tx) Get(key string) ([]byte, error) {
	value, err := tx.redka.Str().Get(key)
	if err == nil && value == nil {
		value = []byte{}
	}
	if !errors.Is(err, redka.ErrNotFound) {
		return value, err
	}
	// Redka finds no string where another type is.
	if _, found, err := tx.look(key); err != nil || !found {
		return nil, err
	}
	return nil, errWrongType
}

// Set stores value under key and replaces what was there. A ttl of 0 means no
// expiry.
func (tx Tx) Set(key string, value []byte, ttl time.Duration) error {
	err := tx.redka.Str().SetExpire(key, value, ttl)
	if errors.Is(err, redka.ErrKeyType) {
		if _, err = tx.Delete(key); err == nil {
			err = tx.redka.Str().SetExpire(key, value, ttl)
		}
	}
	return err
}

// Delete removes keys and returns how many of them existed.
func (tx Tx) Delete(keys ...string) (int, error) { return tx.redka.Key().Delete(keys...) }

// Exists returns how many of the keys exist.
func (tx Tx) Exists(keys ...string) (int, error) { return tx.redka.Key().Count(keys...) }

// look returns the properties of a key.
func (tx Tx) look(key string) (k redka.Key, found bool, err error) {
	k, err = tx.redka.Key().Get(key)
	if errors.Is(err, redka.ErrNotFound) {
		return redka.Key{}, false, nil
	}
	return k, err == nil, err
}
