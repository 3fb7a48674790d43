package embeddedredis

import (
	"math"
	"time"
)

// setting is what SET is told beside key and value.
type setting struct {
	ifMissing, ifThere, get bool
	end                     expiry
}

func set(c *client, db store, args [][]byte) error {
	how, err := parseSetting(args[2:])
	if err != nil {
		return err
	}
	key, value := string(args[0]), args[1]
	if !how.ifMissing && !how.ifThere && !how.get {
		if err := db.put(key, value, how.end); err != nil {
			return err
		}
		c.status("OK")
		return nil
	}
	var before []byte
	var was, done bool
	err = db.update(func(db store) error {
		var err error
		if how.get {
			before, was, err = db.read(key)
		} else {
			_, was, err = db.look(key)
		}
		if err != nil || (how.ifMissing && was) || (how.ifThere && !was) {
			return err
		}
		done = true
		return db.put(key, value, how.end)
	})
	switch {
	case err != nil:
		return err
	case how.get:
		c.found(before, was)
	case done:
		c.status("OK")
	default:
		c.null()
	}
	return nil
}

func parseSetting(options [][]byte) (how setting, err error) {
	ends := false // when it ends has been said
	for len(options) > 0 {
		used := 1
		switch option := options[0]; {
		case is(option, "nx") && !how.ifThere:
			how.ifMissing = true
		case is(option, "xx") && !how.ifMissing:
			how.ifThere = true
		case is(option, "get"):
			how.get = true
		case is(option, "keepttl") && !ends:
			ends, how.end.keep = true, true
		case !ends && len(options) > 1:
			ends, used = true, 2
			if how.end, err = parseExpiry("set", option, options[1]); err != nil {
				return setting{}, err
			}
		default:
			return setting{}, errSyntax
		}
		options = options[used:]
	}
	return how, nil
}

// parseExpiry reads EX, PX, EXAT or PXAT and its number.
func parseExpiry(command string, option, number []byte) (expiry, error) {
	unit, absolute := time.Millisecond, false
	switch {
	case is(option, "px"):
	case is(option, "ex"):
		unit = time.Second
	case is(option, "pxat"):
		absolute = true
	case is(option, "exat"):
		unit, absolute = time.Second, true
	default:
		return expiry{}, errSyntax
	}
	n, err := integer(number)
	if err != nil {
		return expiry{}, err
	}
	return expires(command, n, unit, absolute)
}

// expires turns a positive number of units, from now on or since 1970, into an
// expiry. What lies further off than a time.Duration reaches, 292 years, is
// refused as Redis refuses what does not fit into its milliseconds.
func expires(command string, n int64, unit time.Duration, absolute bool) (expiry, error) {
	if n <= 0 || n > math.MaxInt64/int64(unit) {
		return expiry{}, reply("ERR invalid expire time in '" + command + "' command")
	}
	ttl := time.Duration(n) * unit
	if absolute {
		return expiry{at: time.Unix(0, int64(ttl))}, nil
	}
	return expiry{ttl: ttl}, nil
}
