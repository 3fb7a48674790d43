package web

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"time"

	"github.com/labstack/echo/v4"
)

// rootFiles are the files that are asked for by a name of their own at the top
// of the site, by name: what crawlers, phones and other sites look for there.
// Their names carry no hash, so they are kept for a day.
type rootFiles map[string][]byte

// newRootFiles reads them all; a kind of file that has no content type is an
// error.
func newRootFiles(files fs.FS) (rootFiles, error) {
	found := rootFiles{}
	entries, err := fs.ReadDir(files, "root")
	if err != nil {
		return nil, fmt.Errorf("list files of the top: %w", err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if rootType(name) == "" {
			return nil, fmt.Errorf("file of the top %s: no content type for %q", name, path.Ext(name))
		}
		if found[name], err = fs.ReadFile(files, "root/"+name); err != nil {
			return nil, fmt.Errorf("read file of the top: %w", err)
		}
	}
	return found, nil
}

func rootType(name string) string {
	return map[string]string{
		".txt":         "text/plain; charset=utf-8",
		".png":         "image/png",
		".svg":         "image/svg+xml",
		".woff2":       "font/woff2",
		".webmanifest": "application/manifest+json",
	}[path.Ext(name)]
}

// rootFile serves one of them.
func (s *Site) rootFile(name string) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set(echo.HeaderContentType, rootType(name))
		h.Set("Cache-Control", "public, max-age=86400")
		http.ServeContent(c.Response(), c.Request(), name, time.Time{}, bytes.NewReader(s.rootFiles[name]))
		return nil
	}
}
