package embeddedredis_test

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/embeddedredis"
)

// scripts are the scripts of the servers in these tests.
// TestRedisCLIIsAnsweredAsByRedis runs their Lua in Redis.
var scripts = []embeddedredis.Script{
	{
		Source: "return redis.call('GET', KEYS[1]) or 'none'",
		Run: func(tx embeddedredis.Tx, keys []string, _ [][]byte) (any, error) {
			value, err := tx.Get(keys[0])
			if value == nil {
				return "none", err
			}
			return value, err
		},
	},
	{
		Source: "redis.call('SET', KEYS[1], ARGV[1]); return redis.error_reply('BEHIND it was stored')",
		Run: func(tx embeddedredis.Tx, keys []string, args [][]byte) (any, error) {
			return nil, errors.Join(tx.Set(keys[0], args[0], 0), redis.Error("BEHIND it was stored"))
		},
		Failed: func(tx embeddedredis.Tx, keys []string) error {
			if n, err := tx.Exists(keys...); n == 0 || err != nil {
				return err
			}
			return redis.Error("BEHIND it is there and cannot be changed")
		},
	},
}

func sha(script embeddedredis.Script) string {
	sum := sha1.Sum([]byte(script.Source))
	return hex.EncodeToString(sum[:])
}
