package password

import (
	"bytes"
	"cmp"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Breached is a file of passwords from data breaches, in the format of Have I Been
// Pwned (Pwned Passwords, SHA-1, ordered by hash): each line has 40 upper-case
// hexadecimal digits, a colon and a count. The file is searched on disk, by binary
// search, and never loaded: it has 40 GB. Breached is safe for concurrent use.
type Breached struct {
	file *os.File
	size int64
}

const (
	hashDigits = 2 * sha1.Size
	// maxBreachedLine is the longest line of such a file, in bytes: hash, colon, a
	// count of up to 20 digits, and the line end.
	maxBreachedLine = hashDigits + 1 + 20 + 2
)

// ErrBreachedFile means that a file is not a file of breached passwords.
var ErrBreachedFile = errors.New("must contain SHA-1 hashes ordered by hash, one HASH:COUNT per line")

// OpenBreached opens a file of breached passwords and checks its first and last line.
// It returns [ErrBreachedFile] or an error of the operating system.
func OpenBreached(path string) (*Breached, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open breached-password file: %w", err)
	}
	b := &Breached{file: file}
	if err := b.check(); err != nil {
		return nil, errors.Join(fmt.Errorf("open breached-password file %s: %w", path, err), file.Close())
	}
	return b, nil
}

func (b *Breached) check() error {
	info, err := b.file.Stat()
	if err != nil {
		return err
	}
	if b.size = info.Size(); !info.Mode().IsRegular() || b.size <= hashDigits {
		return ErrBreachedFile
	}
	first, _, _, err1 := b.lineAt(0)
	last, _, _, err2 := b.lineAt(b.size - 1)
	if err := errors.Join(err1, err2); err != nil || first > last {
		return cmp.Or(err, ErrBreachedFile)
	}
	return nil
}

// Close closes the file.
func (b *Breached) Close() error { return b.file.Close() }

// Has reports whether a password is in the file.
func (b *Breached) Has(password string) (bool, error) {
	wanted := fmt.Sprintf("%X", sha1.Sum([]byte(password))) // as in the file; nothing here relies on its security
	low, high := int64(0), b.size
	for low < high {
		middle := low + (high-low)/2
		hash, start, next, err := b.lineAt(middle)
		if err != nil {
			return false, fmt.Errorf("search breached passwords: %w", err)
		}
		switch {
		case hash == wanted:
			return true, nil
		case hash < wanted:
			low = next
		default:
			high = start
		}
	}
	return false, nil
}

// lineAt returns the hash of the line that contains the byte at an offset, and the
// offsets at which that line and the next one begin.
func (b *Breached) lineAt(at int64) (hash string, start, next int64, err error) {
	from := max(at-maxBreachedLine, 0)
	around, err := io.ReadAll(io.NewSectionReader(b.file, from, 2*maxBreachedLine))
	if err != nil {
		return "", 0, 0, err
	}
	within := int(at - from)
	if within >= len(around) {
		return "", 0, 0, ErrBreachedFile // truncated since it was opened
	}
	before := bytes.LastIndexByte(around[:within], '\n') + 1
	line, _, _ := strings.Cut(string(around[before:]), "\n")
	hash, _, ok := strings.Cut(line, ":")
	if !ok || len(hash) != hashDigits || strings.Trim(hash, "0123456789ABCDEF") != "" {
		return "", 0, 0, ErrBreachedFile
	}
	start = from + int64(before)
	return hash, start, start + int64(len(line)) + 1, nil
}
