package reserve

import (
	"os"

	"golang.org/x/sys/unix"
)

// spare is the room that must be left beside the reserve, in bytes: a failed attempt
// that used the last room would make others find the disk full in the meantime.
const spare = 1 << 20

// allocate makes the file system reserve the room, without writing.
func allocate(file *os.File) error {
	var disk unix.Statfs_t
	if err := unix.Fstatfs(int(file.Fd()), &disk); err != nil {
		return err
	}
	if disk.Bavail*uint64(disk.Bsize) < size+spare {
		return unix.ENOSPC
	}
	return unix.Fallocate(int(file.Fd()), 0, 0, size)
}
