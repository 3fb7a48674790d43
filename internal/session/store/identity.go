package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/hostname"
	"holdfast/internal/redisurl"
)

// Identity identifies a store, whatever address it is reached at.
type Identity struct {
	Kind string // one of the Kind constants, or KindEmbedded
	// ID is random and kept in the store itself. It is empty if the store has no ID
	// yet or has lost it, and for KindMemory and KindDatabase.
	ID string
	// Place describes the location of the store for people, without any secret. It
	// names this machine if the location means something else on another one.
	Place string
}

// KindEmbedded is the kind of the Redis embedded in the server.
const KindEmbedded = "embedded Redis"

// Same reports whether both are the same store. If one has lost its ID, for example
// because Redis was emptied, Place decides.
func (i Identity) Same(other Identity) bool {
	switch {
	case i.ID != "" && other.ID != "": // also of an embedded Redis that is reached by its socket
		return i.ID == other.ID
	case i.Kind != other.Kind:
		return false
	case i.Kind == KindDatabase: // the one that says so
		return true
	}
	return i.Place == other.Place
}

// property is data about the store itself. It is kept under the watermark's key
// plus this suffix.
type property string

const (
	watermarkProperty property = ""       // see heartbeat
	idProperty        property = ".store" // see [Identity]
	databaseProperty  property = ".database"
)

// keeper is a store that keeps properties, "" for one that it does not have.
type keeper interface {
	property(ctx context.Context, p property) (string, error)
	// setProperty stores a property, if there is none where the option NX says so.
	setProperty(ctx context.Context, p property, value string, options ...any) error
}

// Database returns what was last recorded with [Opened.RecordDatabase], "" if nothing was.
func (o *Opened) Database(ctx context.Context) (string, error) {
	if in, ok := o.Store.(keeper); ok {
		return in.property(ctx, databaseProperty)
	}
	return o.database, nil
}

// RecordDatabase records in the store up to where its sessions have their rows in the
// database. What that means is up to the caller.
func (o *Opened) RecordDatabase(ctx context.Context, position string) error {
	if in, ok := o.Store.(keeper); ok {
		return in.setProperty(ctx, databaseProperty, position)
	}
	o.database = position // memory lives no longer than this process
	return nil
}

// Mark returns the identity of the store, and gives it an ID if it has none. If
// that fails, the returned Identity lacks only the ID.
func (o *Opened) Mark(ctx context.Context) (Identity, error) {
	identity := o.identity
	in, ok := o.Store.(keeper)
	if !ok {
		return identity, nil
	}
	id, err := in.property(ctx, idProperty)
	if err == nil && id == "" {
		if err = in.setProperty(ctx, idProperty, rand.Text(), "NX"); err == nil {
			id, err = in.property(ctx, idProperty) // another server may have been first
		}
	}
	if err != nil {
		return identity, fmt.Errorf("mark session store: %w", err)
	}
	identity.ID = id
	return identity, nil
}

// refusal is an error of [Config.Accept]. Retrying does not help.
type refusal struct{ error }

// Unwrap lets [errors.Is] find the error of Accept.
func (r refusal) Unwrap() error { return r.error }

// accept calls [Config.Accept], if it is set.
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
	identity.ID, err = redis.String(conn.Do("GET", redisKey(idProperty)))
	if err != nil && !errors.Is(err, redis.ErrNil) {
		return fmt.Errorf("read session store ID: %w", err)
	}
	return accept(cfg, identity)
}

// placeOfFile returns the place of a store that is a file.
func placeOfFile(name, path string) string {
	if whole, err := filepath.Abs(path); err == nil {
		path = whole
	}
	return name + " " + path + onThisMachine()
}

// placeOfRedis returns the place of a Redis, without user and password.
func placeOfRedis(at redisurl.Address) string {
	place := whereRedis(at)
	if host := at.Hostname(); host == "" || hostname.IsLoopback(host) {
		place += onThisMachine()
	}
	return place
}

// whereRedis describes a Redis in a few words. It leaves out database 0, the
// default of clients.
func whereRedis(at redisurl.Address) string {
	where := "Redis at " + cmp.Or(at.Socket, at.Host)
	if at.Database != "" {
		where += ", database " + at.Database
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
