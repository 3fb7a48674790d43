package store

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/alexedwards/scs/v2/memstore"
)

// memoryName is what people read.
const memoryName = "the server’s own memory"

// openMemory uses the memory of this process: scs's memstore, with a lock for writing.
func openMemory(cfg Config) (*Opened, error) {
	identity := Identity{Kind: KindMemory, Place: memoryName}
	if err := accept(cfg, identity); err != nil {
		return nil, err
	}
	// Its sweeper ends with the process: StopCleanup is a data race (scs v2.9.0
	// makes the channel it reads in the sweeper itself).
	values := memoryBucket{memstore.New()}
	var writing sync.Mutex
	view := func(use func(bucket) error) error { return use(values) }
	update := func(use func(bucket) error) error {
		writing.Lock()
		defer writing.Unlock()
		return use(values)
	}
	return &Opened{
		Store: &local{memoryName, view, update}, Where: "this server’s memory", identity: identity,
		OneStep: "a lock in this server, held from reading the record again until it is saved; no other process has the store open",
	}, nil
}

type memoryBucket struct{ *memstore.MemStore }

func (m memoryBucket) get(key string) []byte {
	value, _, _ := m.Find(key) // never fails
	return slices.Clone(value)
}

func (m memoryBucket) put(key string, value []byte, expiry time.Time) error {
	return m.Commit(key, value, expiry)
}

func (m memoryBucket) remove(key string) error { return m.Delete(key) }

func (m memoryBucket) keys() []string {
	all, _ := m.All() // never fails
	return slices.Collect(maps.Keys(all))
}
