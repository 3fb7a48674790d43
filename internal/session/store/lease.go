package store

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/embeddedredis"
)

// lease is where the heartbeat writes of this server have led.
type lease struct {
	check     int64     // number of the check that the connection in use has passed; 0: none has
	token     string    // fencing token left by the last write
	watermark watermark // in the data then
}

// tokenTTL is how long the fencing token of a server that is gone stays.
const tokenTTL = time.Minute

// anyToken is the fencing token to expect for a write that begins with whatever is
// there.
const anyToken = "*"

// errOlder: the data does not continue from what this server last wrote there.
var errOlder = errors.New("older data in Redis than before")

// leaseScript takes the keys of the server's fencing token, the watermark, its epoch,
// a key that never exists, and the keys to remove; the token to expect, the token to
// leave, how long to keep it in milliseconds, the watermark to write with its epoch,
// "" for none; and the watermark to expect where there is no token. It returns the
// watermark and the epoch that are there then, or nothing if it did not find what it
// expects. It does not read them as times: a watermark that is written is true of
// this data whatever was there before, be that later, junk or nothing.
//
// After a removal Redis accepts the rest of a script even when it is full. When it
// refuses all writes because it cannot save them (MISCONF) or has no replicas
// (NOREPLICAS), it returns that if none of the keys exists, and BEHIND if one does.
var leaseScript = redis.NewScript(-1, leaseLua)

const leaseLua = `
local token, watermark, epoch = unpack(redis.call('MGET', KEYS[1], KEYS[2], KEYS[3]))
if ARGV[1] ~= '*' and ((token or '') ~= ARGV[1] or ARGV[1] == '' and (watermark or '') ~= ARGV[6]) then return {} end
local removed = redis.pcall('DEL', unpack(KEYS, 4))
if type(removed) == 'table' then
  local refused = string.find(removed.err, 'MISCONF', 1, true) or string.find(removed.err, 'NOREPLICAS', 1, true)
  if refused and redis.call('EXISTS', unpack(KEYS, 4)) > 0 then
    return redis.error_reply('BEHIND revoked sessions cannot be removed')
  end
  return removed
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
if ARGV[4] ~= '' then
  watermark, epoch = ARGV[4], ARGV[5]
  redis.call('SET', KEYS[2], watermark)
  redis.call('SET', KEYS[3], epoch)
end
return {watermark or '', epoch or ''}`

// leaseInGo is leaseScript for the embedded Redis.
var leaseInGo = embeddedredis.Script{
	Source: leaseLua,
	Run: func(tx embeddedredis.Tx, keys []string, args [][]byte) (any, error) {
		var found [3]string // the token, the watermark and its epoch
		for i, key := range keys[:3] {
			value, err := tx.Get(key)
			if err != nil {
				return nil, err
			}
			found[i] = string(value)
		}
		expected, token, keep, next, nextEpoch, expectedWatermark := string(args[0]), args[1], string(args[2]), args[3], args[4], string(args[5])
		if expected != anyToken && (found[0] != expected || expected == "" && found[1] != expectedWatermark) {
			return []string{}, nil
		}
		if _, err := tx.Delete(keys[3:]...); err != nil {
			return nil, err
		}
		ms, err := strconv.ParseInt(keep, 10, 64)
		if err != nil {
			return nil, err
		}
		if err := tx.Set(keys[0], token, time.Duration(ms)*time.Millisecond); err != nil {
			return nil, err
		}
		if len(next) == 0 {
			return found[1:], nil
		}
		return []string{string(next), string(nextEpoch)}, errors.Join(tx.Set(keys[1], next, 0), tx.Set(keys[2], nextEpoch, 0))
	},
	Failed: func(tx embeddedredis.Tx, keys []string) error {
		if left, err := tx.Exists(keys[3:]...); left == 0 || err != nil {
			return err
		}
		return redis.Error("BEHIND revoked sessions cannot be removed")
	},
}

// renew makes the heartbeat write that follows at on conn: it removes keys, writes a
// watermark unless that is the zero one, and returns where it led.
func (h *heartbeat) renew(conn redis.Conn, at lease, keys []string, write watermark) (lease, error) {
	token := strconv.FormatInt(h.tokens.Add(1), 10)
	args := redis.Args{4 + len(keys), h.tokenKey, watermarkKey, epochKey, h.tokenKey + ":none"}
	args = append(args, prefixed(keys)...)
	args = args.Add(at.token, token, tokenTTL.Milliseconds(), write.at, write.epoch, at.watermark.at)
	answer, err := redis.Strings(leaseScript.Do(conn, args...))
	if isReply(err, "MISCONF") {
		return at, nil // it cannot save, none of the keys exists, and it is the same data
	}
	if isReply(err, "NOREPLICAS") {
		return at, fmt.Errorf("%w: %w", ErrNoHeartbeat, err)
	}
	if err != nil {
		return at, err
	}
	if len(answer) != 2 {
		return at, errOlder
	}
	at.token, at.watermark = token, watermark{answer[0], answer[1]}
	return at, nil
}

// acquire reads the watermark, and leaves a fencing token in the data that has it. A
// Redis that cannot save accepts none, and no other watermark either.
func (h *heartbeat) acquire(conn redis.Conn) (lease, error) {
	at, err := h.renew(conn, lease{token: anyToken}, nil, watermark{})
	if err != nil || at.token != anyToken {
		return at, err
	}
	found, err := redis.Strings(conn.Do("MGET", h.tokenKey, watermarkKey, epochKey))
	if err == nil && len(found) != 3 {
		err = errors.New("reply belongs to another command")
	}
	if err != nil {
		return lease{}, err
	}
	return lease{token: found[0], watermark: watermark{found[1], found[2]}}, nil
}
