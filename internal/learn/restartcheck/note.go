package restartcheck

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"
)

// note records in a file what a trial would leave if it were killed. Next to it is a
// lock file, which the operating system unlocks when the process ends.
type note struct {
	Folder string `json:"folder"`
	Schema string `json:"schema,omitempty"` // in PostgreSQL

	path string
	lock *flock.Flock
}

const (
	noteSuffix = ".left.json"
	lockSuffix = ".lock"
)

// keep writes the note to a directory, which it creates if needed, before anything
// exists that the note names. name is unique to this trial.
func (n *note) keep(folder, name string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("record leftovers: %w", err)
	}
	n.path = filepath.Join(folder, name+noteSuffix)
	n.lock = flock.New(strings.TrimSuffix(n.path, noteSuffix)+lockSuffix, flock.SetPermissions(0o600))
	// Nothing else takes the lock before the note exists.
	if locked, err := n.lock.TryLock(); err != nil || !locked {
		return fmt.Errorf("record leftovers: cannot lock %s: %w", n.lock.Path(), err)
	}
	text, err := json.Marshal(n)
	if err == nil {
		err = os.WriteFile(n.path, text, 0o600)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("record leftovers: %w", err), n.drop())
	}
	return nil
}

// drop deletes the note, when what it names is deleted.
func (n *note) drop() error {
	failed := []error{os.Remove(n.path), n.lock.Unlock(), os.Remove(n.lock.Path())}
	for i, err := range failed {
		if errors.Is(err, os.ErrNotExist) { // another process swept at the same time
			failed[i] = nil
		}
	}
	return errors.Join(failed...)
}

// Sweep deletes what killed checks left, according to their notes in a directory,
// except sessions in Redis, which expire within an hour. databaseURL is where their
// schemas are. A note stays until what it names has been deleted.
func Sweep(ctx context.Context, folder, databaseURL string) error {
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("find leftovers of earlier checks: %w", err)
	}
	var failed []error
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), noteSuffix) {
			continue
		}
		if err := sweep(ctx, filepath.Join(folder, entry.Name()), databaseURL); err != nil {
			failed = append(failed, fmt.Errorf("remove leftovers of an earlier check: %w", err))
		}
	}
	return errors.Join(failed...)
}

func sweep(ctx context.Context, path, databaseURL string) error {
	n := note{path: path, lock: flock.New(strings.TrimSuffix(path, noteSuffix)+lockSuffix, flock.SetPermissions(0o600))}
	if locked, err := n.lock.TryLock(); err != nil || !locked {
		return err // a running check holds it
	}
	err := n.remove(ctx, databaseURL)
	if err != nil {
		return errors.Join(err, n.lock.Unlock())
	}
	return n.drop()
}

// remove deletes what the note names.
func (n *note) remove(ctx context.Context, databaseURL string) error {
	text, err := os.ReadFile(n.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil // another process has deleted it
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, n); err != nil || n.Folder == "" {
		return nil // partly written: nothing was created yet
	}
	if n.Schema != "" {
		s, err := openSchema(databaseURL, n.Schema)
		if err == nil {
			err = s.drop(ctx)
		}
		if err != nil {
			return err
		}
	}
	return os.RemoveAll(n.Folder)
}
