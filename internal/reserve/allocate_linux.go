package reserve

import (
	"os"

	"golang.org/x/sys/unix"
)

// spare is the room that must be left beside the reserve, in bytes: a try that takes the
// last room, and fails, would have others find the disk full in the meantime.
const spare = 1 << 20

// allocate has the file system set the room aside, without writing.
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
