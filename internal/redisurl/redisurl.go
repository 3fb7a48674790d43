// Package redisurl connects to the Redis in REDIS_URL: redis://, rediss:// for TLS, or
// unix:// for a socket. It must not know what is stored there.
package redisurl

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"

	"github.com/gomodule/redigo/redis"
)

// Address is where a Redis listens.
type Address struct {
	*url.URL        // may contain a password
	Socket   string // path of a Unix socket; "" for a host and port
	Database string // its number, as text; "" for 0
}

// Parse parses unix://[USER:PASSWORD@]/PATH[?db=N], or a URL that redigo supports. Its
// error does not quote the text.
func Parse(text string) (Address, error) {
	u, err := url.Parse(text)
	if err != nil {
		return Address{}, errors.New("invalid REDIS_URL")
	}
	a := Address{URL: u, Database: strings.Trim(u.Path, "/")}
	if u.Scheme == "unix" {
		a.Socket, a.Database = u.Path, u.Query().Get("db")
	}
	if a.Database == "0" {
		a.Database = ""
	}
	return a, nil
}

// OfSocket returns the REDIS_URL for a socket.
func OfSocket(path string) string { return (&url.URL{Scheme: "unix", Path: path}).String() }

// Dial opens a connection. The options apply in addition to the address.
func (a Address) Dial(ctx context.Context, options ...redis.DialOption) (redis.Conn, error) {
	if a.Socket == "" {
		return redis.DialURLContext(ctx, a.String(), options...)
	}
	if a.User != nil {
		user := a.User.Username()
		password, both := a.User.Password()
		if !both {
			user, password = "", user // as redigo does
		}
		options = append(options, redis.DialUsername(user), redis.DialPassword(password))
	}
	if a.Database != "" {
		number, err := strconv.Atoi(a.Database)
		if err != nil {
			return nil, errors.New("the db in REDIS_URL is no number")
		}
		options = append(options, redis.DialDatabase(number))
	}
	return redis.DialContext(ctx, "unix", a.Socket, options...)
}
