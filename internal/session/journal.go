package session

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// A journal keeps the endings that could not be stored in the list of devices,
// because the database was away or read-only, until they can be: a store that
// is restored from older data is told of them then. An ending is in the file,
// and the file on the disk, before anybody is told that the session has ended.
type journal struct {
	path string
	mu   sync.Mutex
}

// journalEvery is how often endings in a journal are tried to be stored.
const journalEvery = time.Second

// journaled is one line of the file.
type journaled struct {
	IDs    []string  `json:"ids"`
	Reason EndReason `json:"reason"`
}

// newJournal returns the journal in a folder, or one that takes nothing for "".
func newJournal(dir string) *journal {
	if dir == "" {
		return &journal{}
	}
	return &journal{path: filepath.Join(dir, "endings.journal")}
}

// locked runs act while no other process uses the file.
func (j *journal) locked(act func() error) error {
	if j.path == "" {
		return errors.New("no folder for a journal")
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := os.MkdirAll(filepath.Dir(j.path), 0o700); err != nil {
		return err
	}
	lock := flock.New(j.path + ".lock")
	if err := lock.Lock(); err != nil {
		return err
	}
	return errors.Join(act(), lock.Close())
}

// add appends endings and returns when they are on the disk.
func (j *journal) add(ids []string, why EndReason) error {
	line, err := json.Marshal(journaled{ids, why})
	if err != nil {
		return err
	}
	return j.locked(func() error {
		file, err := os.OpenFile(j.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = file.Write(append(line, '\n'))
		return errors.Join(err, file.Sync(), file.Close())
	})
}

// work stores all endings in the file and empties it. What fails stays.
func (j *journal) work(ctx context.Context, store func(ctx context.Context, ids []string, why EndReason) error) (done int, err error) {
	if _, err := os.Stat(j.path); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	err = j.locked(func() error {
		content, err := os.ReadFile(j.path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // another process was quicker
		}
		if err != nil {
			return err
		}
		for lines := bufio.NewScanner(bytes.NewReader(content)); lines.Scan(); {
			var entry journaled
			if err := json.Unmarshal(lines.Bytes(), &entry); err != nil {
				continue // a line cut by a crash: nobody was told of that ending
			}
			if err := store(ctx, entry.IDs, entry.Reason); err != nil {
				return err // from the beginning next time; storing twice is harmless
			}
			done += len(entry.IDs)
		}
		return os.Remove(j.path)
	})
	return done, err
}

// noteEnded stores how sessions ended that the store no longer has: in the list
// of devices, or while that is away in the journal. Errors: ErrUnavailable when
// neither is possible.
func (m *Manager) noteEnded(ctx context.Context, ids []string, why EndReason) error {
	failed := m.devices.End(ctx, ids, why)
	if failed == nil {
		return nil
	}
	m.log.WarnContext(ctx, "end of sessions kept for later", "reason", why, "sessions", len(ids), "cause", failed)
	if err := m.journal.add(ids, why); err != nil {
		return fmt.Errorf("%w: note the end of a session: %w", ErrUnavailable, errors.Join(failed, err))
	}
	return nil
}

// keepPast is how long a person's past sessions are listed.
const keepPast = 90 * 24 * time.Hour

// forgetTryEvery is how often a server looks whether it is time to forget past
// sessions; one of all servers does so once a day.
const forgetTryEvery = time.Hour

// Maintain stores the endings in the journal when the database is back, and
// forgets past sessions, until ctx ends.
func (m *Manager) Maintain(ctx context.Context) {
	m.workJournal(ctx)
	m.forget(ctx)
	journal, forget := time.NewTicker(journalEvery), time.NewTicker(forgetTryEvery)
	defer journal.Stop()
	defer forget.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-journal.C:
			m.workJournal(ctx)
		case <-forget.C:
			m.forget(ctx)
		}
	}
}

func (m *Manager) workJournal(ctx context.Context) {
	done, err := m.journal.work(ctx, m.devices.End)
	if done > 0 && err == nil {
		m.log.InfoContext(ctx, "ends of sessions stored", "sessions", done)
	}
}

func (m *Manager) forget(ctx context.Context) {
	if err := m.devices.Forget(ctx, keepPast); err != nil && ctx.Err() == nil {
		m.log.WarnContext(ctx, "past sessions not forgotten", "cause", err)
	}
}
