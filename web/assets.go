package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	assetPrefix = "/static/"
	// styleSheet is the only style sheet served, built from styleSheetParts.
	styleSheet = "css/site.css"
	// favicon is requested by browsers even without a link, so its name has no hash. It
	// is the only icon: another would cost one more request.
	favicon = "favicon.ico"

	// A file whose name has a hash never changes (RFC 8246).
	cacheForever = "public, max-age=31536000, immutable"
	// A file whose name has no hash may change with the next build.
	cacheForADay = "public, max-age=86400"
)

// styleSheetParts returns the style sheets, one per component, in cascade order.
func styleSheetParts() []string {
	return []string{"typeface", "roles", "base", "layout", "mark", "button", "form", "message", "fact", "card", "table", "code", "drawing", "explain", "attack", "why", "print"}
}

// asset is one static file in memory, plain and compressed.
type asset struct {
	contentType  string
	cacheControl string
	hash         string // of the plain bytes; the entity tags contain it
	plain        []byte
	gzipped      []byte // nil if compression saves nothing
}

// assets holds all static files. They are looked up in maps, so no path can reach any
// other file.
type assets struct {
	served map[string]*asset // by served name: "css/site.1f2e3d4c5b6a7988.css"
	names  map[string]string // from source name to served name
}

// newAssets reads, hashes and compresses every file once. It joins the style sheets in
// css/ into css/site.css. A style sheet missing from styleSheetParts is an error.
func newAssets(files fs.FS) (*assets, error) {
	a := &assets{served: map[string]*asset{}, names: map[string]string{}}
	sheet, err := joinStyleSheets(files)
	if err != nil {
		return nil, err
	}
	if err := a.add(styleSheet, sheet); err != nil {
		return nil, err
	}
	err = fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path.Dir(name) == "css" {
			return err
		}
		body, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		if name == "js/site.js" { // a page loads one script: this one begins with the other
			back, err := fs.ReadFile(files, "js/back.js")
			if err != nil {
				return err
			}
			body = append(back, body...)
		}
		return a.add(name, body)
	})
	if err != nil {
		return nil, fmt.Errorf("read static files: %w", err)
	}
	return a, nil
}

func joinStyleSheets(files fs.FS) ([]byte, error) {
	found, err := fs.Glob(files, "css/*.css")
	if err != nil {
		return nil, fmt.Errorf("list style sheets: %w", err)
	}
	// Every page waits for the sheet, so strip all comments except a licence (/*!).
	comments := regexp.MustCompile(`(?s)/\*[^!].*?\*/\n?`)
	var sheet bytes.Buffer
	for _, part := range styleSheetParts() {
		name := "css/" + part + ".css"
		body, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("read style sheet: %w", err)
		}
		sheet.Write(comments.ReplaceAll(body, nil))
		found = slices.DeleteFunc(found, func(f string) bool { return f == name })
	}
	if len(found) > 0 {
		return nil, fmt.Errorf("style sheets missing from styleSheetParts: %s", strings.Join(found, ", "))
	}
	return sheet.Bytes(), nil
}

func (a *assets) add(name string, body []byte) error {
	file, err := newAsset(name, body)
	if err != nil {
		return err
	}
	onWire := name
	if name != favicon {
		ext := path.Ext(name)
		onWire = strings.TrimSuffix(name, ext) + "." + file.hash + ext
		file.cacheControl = cacheForever
	}
	a.served[onWire], a.names[name] = file, onWire
	return nil
}

// newAsset returns a file whose name has no hash. A file extension without a content
// type is an error.
func newAsset(name string, body []byte) (*asset, error) {
	contentType, ok := map[string]string{
		".css":         "text/css; charset=utf-8",
		".js":          "text/javascript; charset=utf-8", // RFC 9239
		".txt":         "text/plain; charset=utf-8",
		".ico":         "image/x-icon",
		".png":         "image/png",
		".svg":         "image/svg+xml",
		".woff2":       "font/woff2",
		".webmanifest": "application/manifest+json",
	}[path.Ext(name)]
	if !ok {
		return nil, fmt.Errorf("static file %s: no content type for %q", name, path.Ext(name))
	}
	sum := sha256.Sum256(body)
	file := &asset{contentType: contentType, cacheControl: cacheForADay, hash: hex.EncodeToString(sum[:8]), plain: body}
	if strings.HasPrefix(contentType, "text/") {
		if compressed := gzipped(body); len(compressed) < len(body) {
			file.gzipped = compressed
		}
	}
	return file, nil
}

// rootFiles are the files at the top of the site, by name: those that crawlers, phones
// and other sites request under fixed names.
type rootFiles map[string]*asset

func newRootFiles(files fs.FS) (rootFiles, error) {
	found := rootFiles{}
	err := fs.WalkDir(files, "root", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := fs.ReadFile(files, name)
		if err == nil {
			found[path.Base(name)], err = newAsset(name, body)
		}
		return err
	})
	return found, err
}

func gzipped(body []byte) []byte {
	var compressed bytes.Buffer
	w, _ := gzip.NewWriterLevel(&compressed, gzip.BestCompression) // fails only for an invalid level
	_, _ = w.Write(body)                                           // a bytes.Buffer never fails
	_ = w.Close()
	return compressed.Bytes()
}

// url returns the URL path, with the hash, of the file with this source name:
// "css/site.css".
func (a *assets) url(name string) (string, bool) {
	onWire, ok := a.names[name]
	return assetPrefix + onWire, ok
}

// find returns the file served under name: "css/site.1f2e3d4c5b6a7988.css". A name
// without a hash is not found, except favicon.ico.
func (a *assets) find(name string) (*asset, bool) {
	file, ok := a.served[name]
	return file, ok
}

// ServeHTTP responds to GET and HEAD with the file, compressed if the client accepts
// gzip, or with 304 if the client already has the file.
func (f *asset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", f.cacheControl)
	h.Set("Content-Type", f.contentType)
	body, tag := f.plain, `"`+f.hash+`"`
	if f.gzipped != nil {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header) {
			body, tag = f.gzipped, `"`+f.hash+`-gzip"`
			h.Set("Content-Encoding", "gzip")
			h.Set("Content-Length", strconv.Itoa(len(body))) // ServeContent omits it if the body is encoded
		}
	}
	h.Set("ETag", tag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// acceptsGzip reports whether Accept-Encoding allows gzip (RFC 9110, section 12.5.3):
// by name, or else by *, with a weight above 0.
func acceptsGzip(h http.Header) bool {
	byName, byStar := -1.0, -1.0
	for coding := range strings.SplitSeq(strings.Join(h.Values("Accept-Encoding"), ","), ",") {
		name, weight, _ := strings.Cut(coding, ";")
		q := 1.0
		if key, value, ok := strings.Cut(weight, "="); ok && strings.EqualFold(strings.TrimSpace(key), "q") {
			q, _ = strconv.ParseFloat(strings.TrimSpace(value), 64) // an invalid weight is 0: not accepted
		}
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "gzip", "x-gzip":
			byName = q
		case "*":
			byStar = q
		}
	}
	if byName >= 0 {
		return byName > 0
	}
	return byStar > 0
}
