//go:build !linux

package reserve

import (
	"crypto/rand"
	"os"
)

// allocate writes random data, which no file system can compress.
func allocate(file *os.File) error {
	room := make([]byte, size)
	_, _ = rand.Read(room) // never fails
	_, err := file.Write(room)
	return err
}
