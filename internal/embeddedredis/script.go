package embeddedredis

import (
	"crypto/sha1"
	"strings"

	"github.com/gomodule/redigo/redis"
)

// Script is a Lua script and the Go function that replaces it. EVAL and EVALSHA
// identify it by its source.
type Script struct {
	Source string
	// Run does what the script does, in one SQLite transaction. It returns a
	// [redis.Error] where the script returns an error; any other error rolls the
	// transaction back. Strings, byte slices, ints and nil become replies.
	Run func(tx Tx, keys []string, args [][]byte) (any, error)
	// Failed reads the keys after the transaction could not be stored, for example
	// because the disk is full. If it returns an error, that is the reply instead
	// of MISCONF. Nil means always MISCONF.
	Failed func(tx Tx, keys []string) error
}

// eval implements EVAL and EVALSHA. Their arguments are the script, the number of keys,
// the keys and the other arguments.
func eval(s *Server, tx Tx, args [][]byte) (any, error) {
	script, keys, rest, err := s.script(args)
	if err != nil {
		return nil, err
	}
	return script.Run(tx, keys, rest)
}

func evalFailed(s *Server, tx Tx, args [][]byte) error {
	script, keys, _, err := s.script(args)
	if err != nil || script.Failed == nil {
		return err
	}
	return script.Failed(tx, keys)
}

func (s *Server) script(args [][]byte) (script Script, keys []string, rest [][]byte, err error) {
	const shaLength = 2 * sha1.Size
	sum := strings.ToLower(string(args[0]))
	script, found := s.scripts[sum]
	if !found && len(sum) == shaLength {
		return script, nil, nil, redis.Error("NOSCRIPT No matching script. Please use EVAL.")
	}
	if !found {
		script, found = s.scripts[redis.NewScript(0, string(args[0])).Hash()]
	}
	if !found {
		return script, nil, nil, s.unknown([]byte("Lua, only the scripts of the program"))
	}
	n, err := integer(args[1])
	args = args[2:]
	switch {
	case err != nil:
		return script, nil, nil, err
	case n < 0:
		return script, nil, nil, redis.Error("ERR Number of keys can't be negative")
	case n > int64(len(args)):
		return script, nil, nil, redis.Error("ERR Number of keys can't be greater than number of args")
	}
	return script, texts(args[:n]), args[n:], nil
}
