package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/hostname"
)

// Identity says which store this is, whatever address leads to it.
type Identity struct {
	Kind string // one of the Kind constants, or KindEmbedded
	// ID is random and kept in the store itself. It is empty where the data has
	// none yet, or has lost it, and for KindMemory and KindDatabase.
	ID string
	// Place is where the store is, for people, without any secret. It names this
	// machine where another one would understand something else by it.
	Place string
}

// KindEmbedded is the kind of the Redis inside the server.
const KindEmbedded = "embedded Redis"

// Same reports whether both are the same store. Where one has lost its ID,
// because Redis was emptied for instance, the place decides.
func (i Identity) Same(other Identity) bool {
	switch {
	case i.Kind != other.Kind:
		return false
	case i.Kind == KindDatabase: // the one that says so
		return true
	case i.ID != "" && other.ID != "":
		return i.ID == other.ID
	}
	return i.Place == other.Place
}

// property is something that data says of itself: the end of the key it is kept
// under, after that of the watermark.
type property string

const (
	watermarkProperty property = ""       // see heartbeat
	idProperty        property = ".store" // see [Identity]
)

// idKeeper is a store that keeps its ID.
type idKeeper interface {
	id(ctx context.Context) (string, error)
	// setID keeps an ID where there is none.
	setID(ctx context.Context, id string) error
}

// Mark returns which store this is, and gives it an ID if it has none. When that
// fails, the Identity lacks nothing but the ID.
func (o *Opened) Mark(ctx context.Context) (Identity, error) {
	identity := o.identity
	keeper, ok := o.Store.(idKeeper)
	if !ok {
		return identity, nil
	}
	id, err := keeper.id(ctx)
	if err == nil && id == "" {
		if err = keeper.setID(ctx, rand.Text()); err == nil {
			id, err = keeper.id(ctx) // another server may have been first
		}
	}
	if err != nil {
		return identity, fmt.Errorf("mark the session store: %w", err)
	}
	identity.ID = id
	return identity, nil
}

// refusal is an error of [Config.Accept]. Asking again does not help.
type refusal struct{ error }

// Unwrap makes the error of Accept known to [errors.Is].
func (r refusal) Unwrap() error { return r.error }

// accept asks [Config.Accept], if there is one.
func accept(cfg Config, identity Identity) error {
	if cfg.Accept == nil {
		return nil
	}
	if err := cfg.Accept(identity); err != nil {
		return refusal{err}
	}
	return nil
}

// acceptOn is accept for the Redis at the other end of a connection.
func acceptOn(cfg Config, identity Identity, conn redis.Conn) (err error) {
	if cfg.Accept == nil {
		return nil
	}
	identity.ID, err = redis.String(redis.DoWithTimeout(conn, cfg.Timeout, "GET", redisKey(idProperty)))
	if err != nil && !errors.Is(err, redis.ErrNil) {
		return fmt.Errorf("read which store this is: %w", err)
	}
	return accept(cfg, identity)
}

// mustBeThere returns ErrMissing when a command asks for a file that is not
// there.
func mustBeThere(cfg Config, path string) error {
	if cfg.Accept == nil {
		return nil
	}
	_, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: %s does not exist", ErrMissing, path)
	}
	return err
}

// placeOfFile is the place of a store that is a file.
func placeOfFile(name, path string) string {
	if whole, err := filepath.Abs(path); err == nil {
		path = whole
	}
	return name + " " + path + onThisMachine()
}

// placeOfRedis is the place of a Redis, without user and password.
func placeOfRedis(u *url.URL) string {
	place := whereRedis(u)
	if host := u.Hostname(); host == "" || hostname.IsLoopback(host) {
		place += onThisMachine()
	}
	return place
}

// whereRedis is a Redis in a few words. Database 0 is the one that clients mean
// when they say nothing.
func whereRedis(u *url.URL) string {
	where := "Redis at " + u.Host
	if database := strings.Trim(u.Path, "/"); database != "" && database != "0" {
		where += ", database " + database
	}
	return where
}

func onThisMachine() string {
	host, err := os.Hostname()
	if err != nil {
		return ""
	}
	return " on " + host
}
