// Package sqlitefile opens SQLite database files at any path. It must not know what
// a file contains.
package sqlitefile

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"
)

// Driver is the name under which the SQLite driver is registered.
const Driver = "sqlite"

// maxPath is the longest absolute path that SQLite opens on Unix, in bytes: its
// limit for a path is 512, of which it reserves 8 for the name of a journal.
const maxPath = 504

// connector opens connections that refuse to commit to a file that is no longer at its
// path, or to a write-ahead log that is not: SQLite would write to the removed file, and
// the data would be missing at the next start, or after a crash.
type connector struct{ path, uri string }

// Driver implements [driver.Connector].
func (connector) Driver() driver.Driver { return &sqlite.Driver{} }

// Connect implements [driver.Connector].
func (c connector) Connect(context.Context) (driver.Conn, error) {
	conn, err := c.Driver().Open(c.uri)
	if err != nil {
		return nil, err
	}
	opened, err := os.Stat(c.path)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	// The write-ahead log stays the same file while conn is open. SQLite may create it
	// only for the first commit.
	log, _ := os.Stat(c.path + "-wal")
	conn.(sqlite.HookRegisterer).RegisterCommitHook(func() int32 {
		at, err := os.Stat(c.path)
		logged, missing := os.Stat(c.path + "-wal")
		if log == nil && missing == nil {
			log = logged
		}
		if err != nil || !os.SameFile(at, opened) || log != nil && (missing != nil || !os.SameFile(logged, log)) {
			return 1
		}
		return 0
	})
	return conn, nil
}

// Removed reports whether err means that the file was removed or replaced after it
// was opened. Nothing was committed.
func Removed(err error) bool { return code(err) == sqlitelib.SQLITE_CONSTRAINT_COMMITHOOK }

// Explain wraps an error that is Removed in words for an operator, and returns any other
// as it is.
func Explain(err error) error {
	if Removed(err) {
		return fmt.Errorf("the file was removed or replaced while it was open, restart the server: %w", err)
	}
	return err
}

// Full reports whether err means that the disk is full. Nothing was committed.
func Full(err error) bool { return code(err)&0xff == sqlitelib.SQLITE_FULL }

func code(err error) int {
	if lite, ok := errors.AsType[*sqlite.Error](err); ok {
		return lite.Code()
	}
	return 0
}

// Open creates file and its directory if they are missing, accessible only to their
// owner, and returns a handle with these driver parameters. It does not connect yet.
// With a mode among the parameters (ro, rw) it creates nothing, and a missing file is a
// [fs.ErrNotExist].
//
// SQLite itself would create a file that others can read; its log files get the
// permissions of this one. The path is escaped in the URI: otherwise ? and # would end
// it and %41 would become an A.
func Open(file string, params url.Values) (*sql.DB, error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	if len(path) > maxPath && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("the path %s has %d bytes: SQLite opens at most %d", path, len(path), maxPath)
	}
	if err := provide(path, !params.Has("mode")); err != nil {
		return nil, err
	}
	uri := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: params.Encode()}
	if !strings.HasPrefix(uri.Path, "/") {
		uri.Path = "/" + uri.Path // C:/x becomes /C:/x in a URI
	}
	return sql.OpenDB(connector{path, uri.String()}), nil
}

// provide creates a file, or checks that it exists.
func provide(path string, create bool) error {
	if !create {
		_, err := os.Stat(path)
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	made, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return made.Close()
}
