package embeddedredis

import (
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// misplaced returns the path at which earlier releases made SQLite look for file. They
// passed the path as a URI without escaping it: it ended at ? and #, and %41 became an
// A, so two directories could share one file.
func misplaced(file string) string {
	path := filepath.ToSlash(file)
	if end := strings.IndexAny(path, "?#"); end >= 0 {
		path = path[:end]
	}
	path = regexp.MustCompile("%[0-9A-Fa-f]{2}").ReplaceAllStringFunc(path, func(escape string) string {
		octet, _ := hex.DecodeString(escape[1:]) // it has two digits
		return string(octet)
	})
	return filepath.FromSlash(path)
}

// reportMisplaced logs a file of an earlier release that was used instead of file. It
// does not read that file: its data may belong to another directory. A file redis.db
// may be another directory's own, so it is reported only if file is empty, as the
// earlier release left it.
func (s *Server) reportMisplaced(file string) {
	other := misplaced(file)
	if other == file || !isSQLite(other) {
		return
	}
	if info, err := os.Stat(file); filepath.Base(other) == dataFile && (err != nil || info.Size() > 0) {
		return
	}
	s.Log.Warn("data of an earlier release ignored: outside its directory",
		"file", other, "folder", s.Dir, "advice", "delete it, with its -wal and -shm files, if no other server uses it")
}

// isSQLite reports whether path is a file that starts like a SQLite database.
func isSQLite(path string) bool {
	const magic = "SQLite format 3\x00"
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	begin := make([]byte, len(magic))
	_, err = io.ReadFull(file, begin)
	return err == nil && string(begin) == magic
}
