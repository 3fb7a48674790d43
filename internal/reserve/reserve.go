// Package reserve keeps room on a disk for what must succeed when the disk is full. It
// must not know what that is.
package reserve

import (
	"errors"
	"os"
	"path/filepath"
)

// size is the size of a reserve in bytes: room for the logs of two SQLite files, each
// of which is emptied after 4 MiB.
const size = 8 << 20

// File is a reserve: a file that is removed when its room is needed. Any number of
// processes may share it.
type File struct{ path string }

// In returns the reserve of a directory, which need not exist.
func In(dir string) File { return File{filepath.Join(dir, "reserve")} }

// Keep reserves the room, unless it is already reserved. If the disk has too little
// room, it returns the system's error and leaves no file.
func (f File) Keep() error {
	if !f.Spent() {
		return nil
	}
	file, err := os.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(allocate(file), file.Close())
	if err != nil {
		f.Spend()
	}
	return err
}

// Spend returns the room to the disk.
func (f File) Spend() { _ = os.Remove(f.path) }

// Spent reports whether the room has been returned, or was never reserved. Without its
// directory, the disk is not what is missing.
func (f File) Spent() bool {
	if _, err := os.Stat(filepath.Dir(f.path)); errors.Is(err, os.ErrNotExist) {
		return false
	}
	info, err := os.Stat(f.path)
	return err != nil || info.Size() < size
}
