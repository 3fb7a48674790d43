package embeddedredis

import (
	"math"
	"time"
)

// ending answers with something about the time when a key expires, -1 for never
// and -2 for a key that does not exist.
func ending(of func(unixMilli int64) int64) func(*client, store, [][]byte) error {
	return func(c *client, db store, args [][]byte) error {
		k, found, err := db.look(string(args[0]))
		switch {
		case err != nil:
			return err
		case !found:
			c.integer(-2)
		case k.ETime == nil:
			c.integer(-1)
		default:
			c.integer(of(*k.ETime))
		}
		return nil
	}
}

func expire(name string, unit time.Duration, absolute bool) func(*client, store, [][]byte) error {
	return func(c *client, db store, args [][]byte) error {
		key := string(args[0])
		n, err := integer(args[1])
		if err != nil {
			return err
		}
		// Unlike SET this takes times that have passed: the key goes at once.
		factor := unit.Milliseconds()
		if n > math.MaxInt64/factor || n < math.MinInt64/factor {
			return reply("ERR invalid expire time in '" + name + "' command")
		}
		at := n * factor
		if now := time.Now().UnixMilli(); !absolute {
			if at > math.MaxInt64-now {
				return reply("ERR invalid expire time in '" + name + "' command")
			}
			at += now
		}
		only, err := parseOnly(args[2:])
		if err != nil {
			return err
		}
		done := false
		err = db.update(func(db store) error {
			k, found, err := db.look(key)
			if err != nil || !found || !only.allows(k.ETime, at) {
				return err
			}
			done = true
			return db.key.ExpireAt(key, time.UnixMilli(at))
		})
		if err != nil {
			return err
		}
		c.yes(done)
		return nil
	}
}

// only are the conditions of EXPIRE on the present expiry.
type only struct{ none, some, greater, less bool }

func parseOnly(options [][]byte) (o only, err error) {
	for _, option := range options {
		switch {
		case is(option, "nx"):
			o.none = true
		case is(option, "xx"):
			o.some = true
		case is(option, "gt"):
			o.greater = true
		case is(option, "lt"):
			o.less = true
		default:
			return only{}, reply("ERR Unsupported option " + string(option))
		}
	}
	if o.none && (o.some || o.greater || o.less) {
		return only{}, reply("ERR NX and XX, GT or LT options at the same time are not compatible")
	}
	if o.greater && o.less {
		return only{}, reply("ERR GT and LT options at the same time are not compatible")
	}
	return o, nil
}

// allows reports whether at, in milliseconds since 1970, may take the place of
// present, where nil is never.
func (o only) allows(present *int64, at int64) bool {
	return !(o.none && present != nil ||
		o.some && present == nil ||
		o.greater && (present == nil || at <= *present) ||
		o.less && present != nil && at >= *present)
}

func persist(c *client, db store, args [][]byte) error {
	key, did := string(args[0]), false
	err := db.update(func(db store) error {
		k, found, err := db.look(key)
		if did = err == nil && found && k.ETime != nil; !did {
			return err
		}
		return db.key.Persist(key)
	})
	if err != nil {
		return err
	}
	c.yes(did)
	return nil
}
