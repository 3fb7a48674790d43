package session

import (
	"encoding/binary"
	"sync"
	"time"

	"go.etcd.io/bbolt"
)

// boltBucket is the bucket boltstore keeps sessions in; every value begins
// with its expiry, 8 bytes of big-endian Unix nanoseconds.
const boltBucket = "scs:session"

// sweeper removes expired sessions from the file store now and then.
type sweeper struct {
	stop chan struct{}
	done sync.WaitGroup
}

// Stop ends the sweeping and waits for a sweep that is under way.
func (s *sweeper) Stop() {
	close(s.stop)
	s.done.Wait()
}

func sweepFile(db *bbolt.DB, whole *sync.RWMutex, cfg Config) *sweeper {
	s := &sweeper{stop: make(chan struct{})}
	s.done.Go(func() {
		tick := time.NewTicker(time.Minute)
		defer tick.Stop()
		for {
			select {
			case <-s.stop:
				return
			case <-tick.C:
				if err := sweepOnce(db, whole, time.Now()); err != nil {
					cfg.Log.Warn("expired sessions not removed", "cause", err)
				}
			}
		}
	})
	return s
}

func sweepOnce(db *bbolt.DB, whole *sync.RWMutex, now time.Time) error {
	whole.Lock()
	defer whole.Unlock()
	return db.Update(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket([]byte(boltBucket))
		if bucket == nil {
			return nil
		}
		var expired [][]byte
		err := bucket.ForEach(func(key, value []byte) error {
			if len(value) < 8 || binary.BigEndian.Uint64(value) < uint64(now.UnixNano()) {
				expired = append(expired, key)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, key := range expired {
			if err := bucket.Delete(key); err != nil {
				return err
			}
		}
		return nil
	})
}
