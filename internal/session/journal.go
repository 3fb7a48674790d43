package session

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/gofrs/flock"

	"holdfast/internal/session/store"
)

// A journal is a file that keeps the endings which could not be stored among
// the devices, because the database was away or read-only, until they can be.
// An ending is on the disk before anybody is told that the session has ended,
// so it is also there after a crash of this process, or of the machine.
//
// Each ending is a line of JSON between two line ends: what a crash or a full
// disk cut off in front of it spoils no other line. Any number of processes may
// use the file. It is locked to be changed, for as long as that takes and never
// for as long as a database takes.
type journal struct{ path string }

const (
	// journalEvery is how often endings in a journal are tried to be stored.
	journalEvery = time.Second
	// journalLock is the longest wait for another process that changes the file.
	journalLock = 2 * time.Second
	// maxJournalBytes bounds the file: some 700,000 log-outs. Beyond that they
	// fail, and say so.
	maxJournalBytes = 64 << 20
)

// journaled is one line of the file.
type journaled struct {
	Keys   []string  `json:"keys"`
	Reason EndReason `json:"reason"`
}

// newJournal returns the journal in a folder, or one that takes nothing for "".
func newJournal(dir string) journal {
	if dir == "" {
		return journal{}
	}
	return journal{path: filepath.Join(dir, "endings.journal")}
}

// add appends an ending and returns when it is on the disk.
func (j journal) add(ctx context.Context, keys []string, why EndReason) error {
	if j.path == "" {
		return errors.New("no folder for a journal")
	}
	line, err := json.Marshal(journaled{keys, why})
	if err != nil {
		return err
	}
	return j.locked(ctx, func() error {
		file, err := os.OpenFile(j.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		return errors.Join(appendLine(file, line), file.Close(), syncFolder(filepath.Dir(j.path)))
	})
}

func appendLine(file *os.File, line []byte) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.Size() > maxJournalBytes {
		return fmt.Errorf("%s is full: %d bytes", file.Name(), info.Size())
	}
	if _, err := file.Write(slices.Concat([]byte("\n"), line, []byte("\n"))); err != nil {
		return err
	}
	return file.Sync()
}

// locked runs act while no other process changes the file.
func (j journal) locked(ctx context.Context, act func() error) error {
	if err := os.MkdirAll(filepath.Dir(j.path), 0o700); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, journalLock)
	defer cancel()
	lock := flock.New(j.path + ".lock")
	if _, err := lock.TryLockContext(ctx, time.Millisecond); err != nil {
		return fmt.Errorf("lock %s: %w", j.path, err)
	}
	return errors.Join(act(), lock.Close())
}

// read returns the file's whole lines, the keys in them by the reason of their
// ending, and how many lines are none of an ending. What stands after the last
// line end is being written, or was cut off: nobody has been told of it.
func (j journal) read() (content []byte, endings map[EndReason][]string, spoilt int, err error) {
	if j.path == "" {
		return nil, nil, 0, nil
	}
	content, err = os.ReadFile(j.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, 0, nil
	}
	if err != nil {
		return nil, nil, 0, err
	}
	content = content[:bytes.LastIndexByte(content, '\n')+1]
	endings = map[EndReason][]string{}
	for line := range bytes.Lines(content) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		var entry journaled
		if err := json.Unmarshal(line, &entry); err != nil {
			spoilt++
			continue
		}
		endings[entry.Reason] = append(endings[entry.Reason], entry.Keys...)
	}
	return content, endings, spoilt, nil
}

// work passes all endings in the file to end, and takes them out of it when all
// of them are stored. Storing one twice is harmless: after a failure it begins
// anew, and two processes may do the same.
func (j journal) work(ctx context.Context, end func(ctx context.Context, keys []string, why EndReason) error) (done, spoilt int, err error) {
	content, endings, spoilt, err := j.read()
	if err != nil || len(content) == 0 {
		return 0, 0, err
	}
	for why, keys := range endings {
		if err := end(ctx, keys, why); err != nil {
			return 0, 0, err
		}
		done += len(keys)
	}
	return done, spoilt, j.locked(ctx, func() error { return j.cut(content) })
}

// cut removes content from the beginning of the file, unless another process
// has done so.
func (j journal) cut(content []byte) error {
	now, err := os.ReadFile(j.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	rest, whole := bytes.CutPrefix(now, content)
	switch {
	case !whole:
		return nil
	case len(rest) == 0:
		return os.Remove(j.path)
	}
	shorter, err := os.OpenFile(j.path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = shorter.Write(rest)
	if err := errors.Join(err, shorter.Sync(), shorter.Close()); err != nil {
		return err
	}
	return errors.Join(os.Rename(shorter.Name(), j.path), syncFolder(filepath.Dir(j.path)))
}

// syncFolder makes a file's name last as its content does. Windows has no such
// call, and keeps names by itself.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// Endings are the endings that a session store must not forget: those among the
// devices, and those in the journal in dataDir, which are not there yet.
func Endings(devices DeviceStore, dataDir string) store.Endings {
	return endings{devices, newJournal(dataDir)}
}

type endings struct {
	DeviceStore
	journal journal
}

// EndedSince implements [store.Endings]. Everything in the journal counts: when
// it will be stored is not known. It is read first, since what is taken out of
// it meanwhile is among the devices by then.
func (e endings) EndedSince(ctx context.Context, since time.Time, yield func(keys []string) error) error {
	_, journaled, _, err := e.journal.read()
	if err != nil {
		return fmt.Errorf("read the journal of endings: %w", err)
	}
	if keys := slices.Concat(slices.Collect(maps.Values(journaled))...); len(keys) > 0 {
		if err := yield(keys); err != nil {
			return err
		}
	}
	return e.DeviceStore.EndedSince(ctx, since, yield)
}

// noteEnded stores how sessions ended that the store no longer has: among the
// devices, or while that is impossible in the journal. Errors: ErrNotNoted when
// neither is possible.
func (m *Manager) noteEnded(ctx context.Context, keys []string, why EndReason) error {
	failed := m.devices.EndByKey(ctx, keys, why)
	if failed == nil {
		return nil
	}
	if err := m.journal.add(ctx, keys, why); err != nil {
		return fmt.Errorf("%w: %w", ErrNotNoted, errors.Join(failed, err))
	}
	m.log.WarnContext(ctx, "end of sessions kept for later", "reason", why, "sessions", len(keys), "cause", failed)
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
	failing := m.workJournal(ctx, false)
	m.forget(ctx)
	journal, forget := time.NewTicker(journalEvery), time.NewTicker(forgetTryEvery)
	defer journal.Stop()
	defer forget.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-journal.C:
			failing = m.workJournal(ctx, failing)
		case <-forget.C:
			m.forget(ctx)
		}
	}
}

// workJournal logs the first of several failures in a row.
func (m *Manager) workJournal(ctx context.Context, failed bool) (failing bool) {
	done, spoilt, err := m.journal.work(ctx, m.devices.EndByKey)
	switch {
	case ctx.Err() != nil:
	case err != nil && !failed:
		m.log.WarnContext(ctx, "ends of sessions wait to be stored", "cause", err)
	case err == nil && done+spoilt > 0:
		m.log.InfoContext(ctx, "ends of sessions stored", "sessions", done, "spoilt_lines", spoilt)
	}
	return err != nil
}

func (m *Manager) forget(ctx context.Context) {
	if err := m.devices.Forget(ctx, keepPast); err != nil && ctx.Err() == nil {
		m.log.WarnContext(ctx, "past sessions not forgotten", "cause", err)
	}
}
