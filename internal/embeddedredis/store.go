package embeddedredis

import (
	"errors"
	"time"

	"github.com/nalgeon/redka"
)

// store is Redka's database, or one transaction on it.
type store struct {
	str    stringStore
	key    keyStore
	scan   func(cursor int, pattern string, kind redka.TypeID, count int) (next int, keys []redka.Key, err error)
	update func(func(store) error) error // in one transaction
}

// stringStore is what the database and a transaction have in common for
// strings. Its methods are Redka's.
type stringStore interface {
	Get(key string) (redka.Value, error)
	GetMany(keys ...string) (map[string]redka.Value, error)
	SetExpire(key string, value any, ttl time.Duration) error
}

// keyStore is the same for keys.
type keyStore interface {
	Count(keys ...string) (int, error)
	Delete(keys ...string) (int, error)
	ExpireAt(key string, at time.Time) error
	Get(key string) (redka.Key, error)
	Keys(pattern string) ([]redka.Key, error)
	Len() (int, error)
	Persist(key string) error
	Random() (redka.Key, error)
	Rename(key, newKey string) error
}

func storeOf(db *redka.DB) store {
	return store{
		str: db.Str(),
		key: db.Key(),
		scan: func(cursor int, pattern string, kind redka.TypeID, count int) (int, []redka.Key, error) {
			found, err := db.Key().Scan(cursor, pattern, kind, count)
			return found.Cursor, found.Keys, err
		},
		update: func(do func(store) error) error {
			return db.Update(func(tx *redka.Tx) error { return do(within(tx)) })
		},
	}
}

func within(tx *redka.Tx) store {
	s := store{
		str: tx.Str(),
		key: tx.Key(),
		scan: func(cursor int, pattern string, kind redka.TypeID, count int) (int, []redka.Key, error) {
			found, err := tx.Key().Scan(cursor, pattern, kind, count)
			return found.Cursor, found.Keys, err
		},
	}
	s.update = func(do func(store) error) error { return do(s) }
	return s
}

// look returns a key's properties, found false where there is no such key.
func (s store) look(key string) (k redka.Key, found bool, err error) {
	k, err = s.key.Get(key)
	if errors.Is(err, redka.ErrNotFound) {
		return redka.Key{}, false, nil
	}
	return k, err == nil, err
}

// read returns a string. Redka finds nothing where another type stands.
func (s store) read(key string) (value []byte, found bool, err error) {
	value, err = s.str.Get(key)
	if !errors.Is(err, redka.ErrNotFound) {
		return value, err == nil, err
	}
	_, other, err := s.look(key)
	if err == nil && other {
		err = errWrongType
	}
	return nil, false, err
}

// expiry is when a value ends: never, after a duration, at a time, or when the
// value before it would have.
type expiry struct {
	ttl  time.Duration // zero: none
	at   time.Time     // zero: none
	keep bool
}

// put stores a string over whatever stands under key.
func (s store) put(key string, value []byte, end expiry) error {
	if end.keep || !end.at.IsZero() {
		return s.update(func(s store) error { return s.putUntil(key, value, end) })
	}
	err := s.str.SetExpire(key, value, end.ttl)
	if !errors.Is(err, redka.ErrKeyType) {
		return err
	}
	return s.update(func(s store) error {
		if _, err := s.key.Delete(key); err != nil {
			return err
		}
		return s.str.SetExpire(key, value, end.ttl)
	})
}

// putUntil is put where the end is a point in time: Redka takes durations only,
// and counts them from a moment later.
func (s store) putUntil(key string, value []byte, end expiry) error {
	if end.keep {
		k, found, err := s.look(key)
		if err != nil {
			return err
		}
		if !found || k.ETime == nil {
			return s.put(key, value, expiry{})
		}
		end.at = time.UnixMilli(*k.ETime)
	}
	if err := s.put(key, value, expiry{}); err != nil {
		return err
	}
	return s.key.ExpireAt(key, end.at)
}
