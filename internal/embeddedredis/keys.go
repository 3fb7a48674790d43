package embeddedredis

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/nalgeon/redka"
)

func keyCommands() []command {
	return []command{
		{"del", -2, writes, -1, "generic", "1.0.0", "key [key ...]", "Deletes keys.", del},
		{"exists", -2, reads, -1, "generic", "1.0.0", "key [key ...]", "Counts which of the keys exist.", exists},
		{"expire", -3, writes, 1, "generic", "1.0.0", "key seconds [NX | XX | GT | LT]", "Has a key expire after seconds.", expire("expire", time.Second, false)},
		{"expireat", -3, writes, 1, "generic", "1.2.0", "key unix-time-seconds [NX | XX | GT | LT]", "Has a key expire at a time.", expire("expireat", time.Second, true)},
		{"expiretime", 2, reads, 1, "generic", "7.0.0", "key", "Returns when a key expires, in seconds since 1970.", ending(func(at int64) int64 { return roundedSeconds(at) })},
		{"keys", 2, reads, 0, "generic", "1.0.0", "pattern", "Returns all key names that match a pattern.", keys},
		{"object", -2, reads, 0, "generic", "2.2.3", "ENCODING | FREQ | IDLETIME | REFCOUNT key", "Tells how the value of a key is kept.", object},
		{"persist", 2, writes, 1, "generic", "2.2.0", "key", "Has a key never expire.", persist},
		{"pexpire", -3, writes, 1, "generic", "2.6.0", "key milliseconds [NX | XX | GT | LT]", "Has a key expire after milliseconds.", expire("pexpire", time.Millisecond, false)},
		{"pexpireat", -3, writes, 1, "generic", "2.6.0", "key unix-time-milliseconds [NX | XX | GT | LT]", "Has a key expire at a time.", expire("pexpireat", time.Millisecond, true)},
		{"pexpiretime", 2, reads, 1, "generic", "7.0.0", "key", "Returns when a key expires, in milliseconds since 1970.", ending(func(at int64) int64 { return at })},
		{"pttl", 2, reads, 1, "generic", "2.6.0", "key", "Returns the milliseconds until a key expires.", ending(func(at int64) int64 { return max(at-time.Now().UnixMilli(), 0) })},
		{"randomkey", 1, reads, 0, "generic", "1.0.0", "", "Returns a random key name.", randomKey},
		{"rename", 3, writes, 2, "generic", "1.0.0", "key newkey", "Renames a key, over what the new name held.", rename},
		{"renamenx", 3, writes, 2, "generic", "1.0.0", "key newkey", "Renames a key if the new name does not exist.", renameNX},
		{"scan", -2, reads, 0, "generic", "2.8.0", "cursor [MATCH pattern] [COUNT count] [TYPE type]", "Goes through the key names.", scan},
		{"touch", -2, reads, -1, "generic", "3.2.1", "key [key ...]", "Counts which of the keys exist.", exists},
		{"ttl", 2, reads, 1, "generic", "1.0.0", "key", "Returns the seconds until a key expires.", ending(func(at int64) int64 { return roundedSeconds(max(at-time.Now().UnixMilli(), 0)) })},
		{"type", 2, reads, 1, "generic", "1.0.0", "key", "Returns the type of a key's value.", typeOf},
		{"unlink", -2, writes, -1, "generic", "4.0.0", "key [key ...]", "Deletes keys.", del},
	}
}

func roundedSeconds(ms int64) int64 { return (ms + 500) / 1000 }

// missingIsFine drops Redka's error for a key that does not exist.
func missingIsFine(err error) error {
	if errors.Is(err, redka.ErrNotFound) {
		return nil
	}
	return err
}

func del(c *client, db store, args [][]byte) error {
	n, err := db.key.Delete(texts(args)...)
	if err != nil {
		return err
	}
	c.integer(int64(n))
	return nil
}

// exists counts a key as often as it is named.
func exists(c *client, db store, args [][]byte) error {
	sum := 0
	for _, arg := range args {
		n, err := db.key.Count(string(arg))
		if err != nil {
			return err
		}
		sum += n
	}
	c.integer(int64(sum))
	return nil
}

func typeOf(c *client, db store, args [][]byte) error {
	k, found, err := db.look(string(args[0]))
	switch {
	case err != nil:
		return err
	case !found:
		c.status("none")
	default:
		c.status(k.TypeName())
	}
	return nil
}

func randomKey(c *client, db store, _ [][]byte) error {
	k, err := db.key.Random()
	switch {
	case errors.Is(err, redka.ErrNotFound):
		c.null()
	case err != nil:
		return err
	default:
		c.text(k.Key)
	}
	return nil
}

func rename(c *client, db store, args [][]byte) error {
	err := db.update(func(db store) error { return db.move(string(args[0]), string(args[1])) })
	if err != nil {
		return err
	}
	c.status("OK")
	return nil
}

func renameNX(c *client, db store, args [][]byte) error {
	from, to := string(args[0]), string(args[1])
	free := false
	err := db.update(func(db store) error {
		_, found, err := db.look(from)
		if err == nil && !found {
			err = errNoSuchKey
		}
		if err != nil {
			return err
		}
		_, taken, err := db.look(to)
		if free = err == nil && !taken; !free {
			return err
		}
		return db.move(from, to)
	})
	if err != nil {
		return err
	}
	c.yes(free)
	return nil
}

// move renames a key over what the new name holds, whatever its type.
func (s store) move(from, to string) error {
	_, found, err := s.look(from)
	switch {
	case err != nil:
		return err
	case !found:
		return errNoSuchKey
	case from == to:
		return nil
	}
	// Redka deletes no key that has expired and is not swept yet, and then finds
	// the new name taken: it is written anew first.
	if err := s.put(to, []byte{}, expiry{}); err != nil {
		return err
	}
	if _, err := s.key.Delete(to); err != nil {
		return err
	}
	return s.key.Rename(from, to)
}

func keys(c *client, db store, args [][]byte) error {
	found, err := db.key.Keys(glob(string(args[0])))
	if err != nil {
		return err
	}
	c.names(found)
	return nil
}

func (c *client) names(keys []redka.Key) {
	c.array(len(keys))
	for _, k := range keys {
		c.text(k.Key)
	}
}

// scan goes by Redka's numbers of keys, which rise, so that every key that is
// there from the beginning to the end of an iteration is returned once.
func scan(c *client, db store, args [][]byte) error {
	cursor, err := strconv.ParseUint(string(args[0]), 10, 63)
	if err != nil {
		return reply("ERR invalid cursor")
	}
	pattern, kind, count := "*", redka.TypeAny, int64(10)
	options := args[1:]
	if len(options)%2 != 0 {
		return errSyntax
	}
	for ; len(options) > 0; options = options[2:] {
		switch value := options[1]; {
		case is(options[0], "match"):
			pattern = glob(string(value))
		case is(options[0], "count"):
			if count, err = integer(value); err != nil {
				return err
			}
			if count < 1 {
				return errSyntax
			}
		case is(options[0], "type"):
			kind = typeNamed(strings.ToLower(string(value)))
		default:
			return errSyntax
		}
	}
	// One more is asked for, which tells whether an iteration is at its end.
	page := int(min(count, math.MaxInt32))
	_, found, err := db.scan(int(cursor), pattern, kind, page+1)
	if err != nil {
		return err
	}
	next := 0
	if len(found) > page {
		found = found[:page]
		next = found[page-1].ID
	}
	c.array(2)
	c.text(strconv.Itoa(next))
	c.names(found)
	return nil
}

// noType is the type of no key.
const noType = redka.TypeID(-1)

func typeNamed(name string) redka.TypeID {
	for _, id := range []redka.TypeID{redka.TypeString, redka.TypeList, redka.TypeSet, redka.TypeHash, redka.TypeZSet} {
		if (redka.Key{Type: id}).TypeName() == name {
			return id
		}
	}
	return noType
}

// glob turns a pattern of Redis into one of SQLite, which has no backslash: the
// character after it stands for itself.
func glob(pattern string) string {
	if !strings.Contains(pattern, `\`) {
		return pattern
	}
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		if pattern[i] != '\\' || i+1 == len(pattern) {
			b.WriteByte(pattern[i])
			continue
		}
		i++
		if strings.IndexByte("*?[", pattern[i]) >= 0 {
			b.WriteString("[" + pattern[i:i+1] + "]")
		} else {
			b.WriteByte(pattern[i])
		}
	}
	return b.String()
}

// object answers OBJECT. How Redka keeps a value is always the same; the
// encoding is that which Redis gives a string of these bytes. Redka notes when a
// key was written and not when it was read: the idle time counts from there.
func object(c *client, db store, args [][]byte) error {
	if len(args) != 2 {
		return unknown([]byte("OBJECT"), args[0])
	}
	key := string(args[1])
	k, found, err := db.look(key)
	if err != nil {
		return err
	}
	switch {
	case is(args[0], "freq") && found:
		return reply("ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.")
	case is(args[0], "encoding") && found && k.Type == redka.TypeString:
		value, _, err := db.read(key)
		if err != nil {
			return err
		}
		c.text(encoding(value))
		return nil
	case !found && (is(args[0], "encoding") || is(args[0], "freq") || is(args[0], "idletime") || is(args[0], "refcount")):
		c.null()
	case is(args[0], "encoding"):
		c.text("raw")
	case is(args[0], "idletime"):
		c.integer(int64(time.Since(time.UnixMilli(k.MTime)).Seconds()))
	case is(args[0], "refcount"):
		c.integer(1)
	default:
		return unknown([]byte("OBJECT"), args[0])
	}
	return nil
}

// encoding is what OBJECT ENCODING of Redis says of a string: 44 bytes are the
// most that it keeps in one piece with the object.
func encoding(value []byte) string {
	const embedded = 44
	if _, err := integer(value); err == nil {
		return "int"
	}
	if len(value) <= embedded {
		return "embstr"
	}
	return "raw"
}
