package embeddedredis

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nalgeon/redka"
)

// reply is an error for the client, in the form of Redis: a code in capitals,
// then words.
type reply string

func (r reply) Error() string { return string(r) }

// The errors of Redis 7.0 that several commands answer.
const (
	errSyntax     = reply("ERR syntax error")
	errNoInteger  = reply("ERR value is not an integer or out of range")
	errNoFloat    = reply("ERR value is not a valid float")
	errWrongType  = reply("WRONGTYPE Operation against a key holding the wrong kind of value")
	errNoSuchKey  = reply("ERR no such key")
	errOutOfRange = reply("ERR increment or decrement would overflow")
)

// flags of a command.
type flags uint8

const (
	reads      flags = 1 << iota // the keyspace
	writes                       // the keyspace
	atOnce                       // also within MULTI
	notInMulti                   // is an error there
	unseen                       // not shown by MONITOR, as Redis shows no administrator's
	secret                       // shown without its passwords

	keyspace = reads | writes
)

// command is one that is answered.
type command struct {
	name    string // in small letters
	arity   int    // with the name; negative: at least so many
	flags   flags
	keys    int    // how many of the arguments are keys; -1: all, -2: every other
	group   string // as COMMAND DOCS names it
	since   string // version of Redis
	syntax  string // of the arguments
	summary string
	answer  func(c *client, db store, args [][]byte) error // args without the name
}

// longestName is longer than the name of any command.
const longestName = 32

// find looks the command up and counts its arguments; no is why it cannot be
// carried out, or "".
func (s *Server) find(args [][]byte) (found *command, no reply) {
	var lower [longestName]byte
	n := copy(lower[:], args[0])
	for i, b := range lower[:n] {
		if 'A' <= b && b <= 'Z' {
			lower[i] = b + ('a' - 'A')
		}
	}
	found = s.commands[string(lower[:n])]
	if found == nil || len(args[0]) > longestName {
		return nil, unknown(args[0])
	}
	if (found.arity > 0 && len(args) != found.arity) || len(args) < -found.arity {
		return nil, wrongNumber(found.name)
	}
	return found, ""
}

// unknown is the answer to a command, or a part of one, that is not there.
func unknown(name ...[]byte) reply {
	const longest = 64 // bytes that are said again
	words := make([]string, len(name))
	for i, word := range name {
		words[i] = strings.ToUpper(strings.ToValidUTF8(string(word[:min(len(word), longest)]), "?"))
	}
	return reply("ERR this is the Redis embedded in Holdfast (Redka); it has no " + strings.Join(words, " ") +
		". Set REDIS_URL for a real Redis")
}

func wrongNumber(name string) reply {
	return reply(fmt.Sprintf("ERR wrong number of arguments for '%s' command", name))
}

// translated turns the errors of Redka that are the client's into Redis' own.
func translated(err error) error {
	switch {
	case errors.Is(err, redka.ErrKeyType):
		return errWrongType
	case errors.Is(err, redka.ErrValueType):
		return errNoInteger
	}
	return err
}

// commandTable lists what is answered, by name.
func commandTable() map[string]*command {
	table := map[string]*command{}
	for _, group := range [][]command{connectionCommands(), serverCommands(), keyCommands(), stringCommands()} {
		for _, c := range group {
			table[c.name] = &c
		}
	}
	return table
}
