package embeddedredis

import (
	"math"
	"strconv"
	"time"
)

func stringCommands() []command {
	return []command{
		{"append", 3, writes, 1, "string", "2.0.0", "key value", "Appends to the value of a key, or creates the key.", appendTo},
		{"decr", 2, writes, 1, "string", "1.0.0", "key", "Decrements the integer value of a key by one.", by(-1)},
		{"decrby", 3, writes, 1, "string", "1.0.0", "key decrement", "Decrements the integer value of a key by a number.", byArgument(-1)},
		{"get", 2, reads, 1, "string", "1.0.0", "key", "Returns the string value of a key.", get},
		{"getdel", 2, writes, 1, "string", "6.2.0", "key", "Returns the string value of a key and deletes the key.", getDel},
		{"getex", -2, writes, 1, "string", "6.2.0", "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]", "Returns the string value of a key and sets when it expires.", getEx},
		{"getrange", 4, reads, 1, "string", "2.4.0", "key start end", "Returns a part of the string value of a key.", getRange},
		{"getset", 3, writes, 1, "string", "1.0.0", "key value", "Returns the string value of a key and sets a new one.", getSet},
		{"incr", 2, writes, 1, "string", "1.0.0", "key", "Increments the integer value of a key by one.", by(1)},
		{"incrby", 3, writes, 1, "string", "1.0.0", "key increment", "Increments the integer value of a key by a number.", byArgument(1)},
		{"mget", -2, reads, -1, "string", "1.0.0", "key [key ...]", "Returns the string values of several keys.", mget},
		{"mset", -3, writes, -2, "string", "1.0.1", "key value [key value ...]", "Sets the string values of several keys.", mset},
		{"psetex", 4, writes, 1, "string", "2.6.0", "key milliseconds value", "Sets the string value of a key, which expires after milliseconds.", setEx("psetex", time.Millisecond)},
		{"set", -3, writes, 1, "string", "1.0.0", "key value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]", "Sets the string value of a key, whatever its type was.", set},
		{"setex", 4, writes, 1, "string", "2.0.0", "key seconds value", "Sets the string value of a key, which expires after seconds.", setEx("setex", time.Second)},
		{"setnx", 3, writes, 1, "string", "1.0.0", "key value", "Sets the string value of a key if the key does not exist.", setNX},
		{"strlen", 2, reads, 1, "string", "2.2.0", "key", "Returns the length of the string value of a key.", strLen},
	}
}

// read answers with a string or null.
func (c *client) read(db store, key []byte) error {
	value, found, err := db.read(string(key))
	if err != nil {
		return err
	}
	c.found(value, found)
	return nil
}

func (c *client) found(value []byte, found bool) {
	if !found {
		c.server.counts.misses.Add(1)
		c.null()
		return
	}
	c.server.counts.hits.Add(1)
	c.bulk(value)
}

func get(c *client, db store, args [][]byte) error { return c.read(db, args[0]) }

func mget(c *client, db store, args [][]byte) error {
	keys := texts(args)
	values, err := db.str.GetMany(keys...)
	if err != nil {
		return err
	}
	c.array(len(keys))
	for _, key := range keys {
		value, found := values[key]
		c.found(value, found)
	}
	return nil
}

func texts(args [][]byte) []string {
	all := make([]string, len(args))
	for i, arg := range args {
		all[i] = string(arg)
	}
	return all
}

func strLen(c *client, db store, args [][]byte) error {
	value, _, err := db.read(string(args[0]))
	if err != nil {
		return err
	}
	c.integer(int64(len(value)))
	return nil
}

func getRange(c *client, db store, args [][]byte) error {
	start, err := integer(args[1])
	if err != nil {
		return err
	}
	end, err := integer(args[2])
	if err != nil {
		return err
	}
	value, _, err := db.read(string(args[0]))
	if err != nil {
		return err
	}
	length := int64(len(value))
	if start < 0 {
		start = max(start+length, 0)
	}
	if end < 0 {
		end = max(end+length, 0)
	}
	end = min(end, length-1)
	if start > end {
		c.text("")
	} else {
		c.bulk(value[start : end+1])
	}
	return nil
}

func setEx(name string, unit time.Duration) func(*client, store, [][]byte) error {
	return func(c *client, db store, args [][]byte) error {
		n, err := integer(args[1])
		if err != nil {
			return err
		}
		end, err := expires(name, n, unit, false)
		if err != nil {
			return err
		}
		if err := db.put(string(args[0]), args[2], end); err != nil {
			return err
		}
		c.status("OK")
		return nil
	}
}

func setNX(c *client, db store, args [][]byte) error {
	var was bool
	err := db.update(func(db store) (err error) {
		if _, was, err = db.look(string(args[0])); err != nil || was {
			return err
		}
		return db.put(string(args[0]), args[1], expiry{})
	})
	if err != nil {
		return err
	}
	c.yes(!was)
	return nil
}

// yes answers 1 or 0.
func (c *client) yes(is bool) {
	if is {
		c.integer(1)
	} else {
		c.integer(0)
	}
}

func mset(c *client, db store, args [][]byte) error {
	if len(args)%2 != 0 {
		return wrongNumber("mset")
	}
	err := db.update(func(db store) error {
		for i := 0; i < len(args); i += 2 {
			if err := db.put(string(args[i]), args[i+1], expiry{}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	c.status("OK")
	return nil
}

// change answers with a string and then does something to its key, in one step.
func (c *client) change(db store, key string, then func(store) error) error {
	var before []byte
	var was bool
	err := db.update(func(db store) (err error) {
		if before, was, err = db.read(key); err != nil {
			return err
		}
		return then(db)
	})
	if err != nil {
		return err
	}
	c.found(before, was)
	return nil
}

func getSet(c *client, db store, args [][]byte) error {
	key := string(args[0])
	return c.change(db, key, func(db store) error { return db.put(key, args[1], expiry{}) })
}

func getDel(c *client, db store, args [][]byte) error {
	key := string(args[0])
	return c.change(db, key, func(db store) error {
		_, err := db.key.Delete(key)
		return err
	})
}

func getEx(c *client, db store, args [][]byte) error {
	key := string(args[0])
	var then func(db store) error
	switch {
	case len(args) == 1:
		return c.read(db, args[0])
	case len(args) == 2 && is(args[1], "persist"):
		then = func(db store) error { return missingIsFine(db.key.Persist(key)) }
	case len(args) == 3:
		end, err := parseExpiry("getex", args[1], args[2])
		if err != nil {
			return err
		}
		if end.at.IsZero() {
			end.at = time.Now().Add(end.ttl)
		}
		then = func(db store) error { return missingIsFine(db.key.ExpireAt(key, end.at)) }
	default:
		return errSyntax
	}
	return c.change(db, key, then)
}

func by(n int64) func(*client, store, [][]byte) error {
	return func(c *client, db store, args [][]byte) error { return c.increment(db, string(args[0]), n) }
}

func byArgument(sign int64) func(*client, store, [][]byte) error {
	return func(c *client, db store, args [][]byte) error {
		n, err := integer(args[1])
		if err != nil {
			return err
		}
		if sign < 0 && n == math.MinInt64 {
			return reply("ERR decrement would overflow")
		}
		return c.increment(db, string(args[0]), sign*n)
	}
}

func (c *client) increment(db store, key string, n int64) error {
	var sum int64
	err := db.update(func(db store) error {
		value, found, err := db.read(key)
		if err != nil {
			return err
		}
		sum = 0
		if found {
			if sum, err = integer(value); err != nil {
				return err
			}
		}
		if (n > 0 && sum > math.MaxInt64-n) || (n < 0 && sum < math.MinInt64-n) {
			return errOutOfRange
		}
		sum += n
		return db.put(key, strconv.AppendInt(nil, sum, 10), expiry{keep: true})
	})
	if err != nil {
		return err
	}
	c.integer(sum)
	return nil
}

func appendTo(c *client, db store, args [][]byte) error {
	var length int
	err := db.update(func(db store) error {
		value, _, err := db.read(string(args[0]))
		if err != nil {
			return err
		}
		value = append(value, args[1]...)
		length = len(value)
		return db.put(string(args[0]), value, expiry{keep: true})
	})
	if err != nil {
		return err
	}
	c.integer(int64(length))
	return nil
}

// integer reads a number as Redis does: no plus sign, no leading zeros.
func integer(arg []byte) (int64, error) {
	n, err := strconv.ParseInt(string(arg), 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != string(arg) {
		return 0, errNoInteger
	}
	return n, nil
}
