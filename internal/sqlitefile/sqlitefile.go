// Package sqlitefile opens SQLite database files at any path. It must not know what
// a file contains.
package sqlitefile

import (
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	_ "modernc.org/sqlite" // the driver
)

// Driver is the name under which the SQLite driver is registered.
const Driver = "sqlite"

// maxPath is the longest absolute path that SQLite opens on Unix, in bytes: its
// limit for a path is 512, of which it reserves 8 for the name of a journal.
const maxPath = 504

// Open creates file and its directory if they are missing, accessible only to their
// owner, and returns a handle with these driver parameters. It does not connect
// yet. With a mode among the parameters (ro, rw) it creates nothing, and a missing
// file is a [fs.ErrNotExist].
//
// SQLite itself would create a file that others can read; its log files get the
// permissions of this one. The path is escaped in the URI: unescaped, ? and # would
// end it and %41 would be an A.
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
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/x is /C:/x in a URI
	}
	uri := url.URL{Scheme: "file", Path: path, RawQuery: params.Encode()}
	return sql.Open(Driver, uri.String())
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
