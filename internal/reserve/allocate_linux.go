package reserve

import (
	"os"

	"golang.org/x/sys/unix"
)

// allocate has the file system set the room aside, without writing.
func allocate(file *os.File) error { return unix.Fallocate(int(file.Fd()), 0, 0, size) }
