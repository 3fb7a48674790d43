package web

import (
	"bytes"
	"compress/gzip"
	"image/png"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit/pagetest"
	"holdfast/static"
)

// askFor sends a request for one asset.
func askFor(file *asset, method string, headers map[string]string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/", nil)
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	file.ServeHTTP(w, r)
	return w
}

func TestEveryAssetIsServedWholeUnderItsHash(t *testing.T) {
	t.Parallel()
	_, files := newTestViews(t)
	for name, onWire := range files.names {
		file, ok := files.find(onWire)
		if !ok {
			t.Fatalf("%s is not found as %s", name, onWire)
		}
		if _, ok := files.find(name); ok != (name == favicon) {
			t.Errorf("%s is found without its hash: %v", name, ok)
		}
		plain := askFor(file, http.MethodGet, nil)
		content := plain.Body.Bytes()
		if source, err := static.FS.ReadFile(name); err == nil {
			if name == "js/site.js" {
				back, err := static.FS.ReadFile("js/back.js")
				require.NoError(t, err)
				source = append(back, source...)
			}
			if !bytes.Equal(content, source) {
				t.Errorf("%s is not served as it is", name)
			}
		}
		for header, want := range map[string]string{
			"Content-Type": map[string]string{
				".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
				".ico": "image/x-icon",
			}[path.Ext(name)],
			"Cache-Control":    map[bool]string{false: "public, max-age=31536000, immutable", true: "public, max-age=86400"}[name == favicon],
			"Content-Length":   strconv.Itoa(len(content)),
			"Content-Encoding": "",
			"Set-Cookie":       "",
		} {
			if got := plain.Header().Get(header); got != want {
				t.Errorf("%s: %s %q, want %q", name, header, got, want)
			}
		}
		head := askFor(file, http.MethodHead, nil)
		if length := head.Header().Get("Content-Length"); head.Body.Len() > 0 || length != strconv.Itoa(len(content)) {
			t.Errorf("%s: HEAD answers with %d bytes and length %s, want 0 and %d", name, head.Body.Len(), length, len(content))
		}
		checkCompressed(t, name, file, content)
		checkRevalidation(t, name, file)
	}
}

func checkCompressed(t *testing.T, name string, file *asset, content []byte) {
	t.Helper()
	packed := askFor(file, http.MethodGet, map[string]string{"Accept-Encoding": "br, gzip"})
	if packed.Header().Get("Content-Encoding") == "" {
		if path.Ext(name) != ".ico" {
			t.Errorf("%s is never compressed", name)
		}
		return
	}
	wire := packed.Body.Bytes()
	if len(wire) >= len(content) {
		t.Errorf("%s: %d bytes compressed, %d plain", name, len(wire), len(content))
	}
	reader, err := gzip.NewReader(bytes.NewReader(wire))
	require.NoError(t, err)
	if unpacked, err := io.ReadAll(reader); err != nil || !bytes.Equal(unpacked, content) {
		t.Errorf("%s: compressed and plain are not the same", name)
	}
	for encoding, answer := range map[string]*httptest.ResponseRecorder{"gzip": packed, "none": askFor(file, http.MethodGet, nil)} {
		if got := answer.Header().Get("Vary"); got != "Accept-Encoding" {
			t.Errorf("%s, encoding %s: Vary %q", name, encoding, got)
		}
	}
}

func checkRevalidation(t *testing.T, name string, file *asset) {
	t.Helper()
	tags := map[string]bool{}
	for _, encoding := range []string{"gzip", "identity"} {
		first := askFor(file, http.MethodGet, map[string]string{"Accept-Encoding": encoding})
		tag := first.Header().Get("ETag")
		if first.Header().Get("Content-Encoding") == "gzip" || encoding == "identity" {
			if tags[tag] {
				t.Errorf("%s: one entity tag, %s, for two encodings", name, tag)
			}
			tags[tag] = true
		}
		for held, want := range map[string]int{tag: 304, "W/" + tag: 304, `"a", ` + tag: 304, "*": 304, `"a"`: 200, tag[:5]: 200} {
			again := askFor(file, http.MethodGet, map[string]string{"Accept-Encoding": encoding, "If-None-Match": held})
			if again.Code != want || want == 304 && (again.Body.Len() > 0 || again.Header().Get("ETag") != tag) {
				t.Errorf("%s, %s: If-None-Match %s answers %d, want %d", name, encoding, held, again.Code, want)
			}
		}
	}
}

func TestCompressionIsForThoseWhoTakeIt(t *testing.T) {
	t.Parallel()
	for accepted, want := range map[string]bool{
		"": false, "identity": false, "br": false, "gzipped": false,
		"gzip": true, "GZip": true, "br, gzip": true, "deflate , gzip;q=0.5": true, "*": true, "x-gzip": true,
		"gzip;q=0": false, "gzip; q=0.000": false, "gzip;q=0, *": false, "*;q=0": false, "gzip;q=x": false, "gzip; Q=0.1, *;q=0": true,
	} {
		if got := acceptsGzip(http.Header{"Accept-Encoding": {accepted}}); got != want {
			t.Errorf("Accept-Encoding %q: gzip %v, want %v", accepted, got, want)
		}
	}
}

func TestNoOtherNameIsServed(t *testing.T) {
	t.Parallel()
	_, files := newTestViews(t)
	for _, name := range []string{
		"", ".", "/", "css", "css/", "css/site.css", "css/base.css", "css/site.0000000000000000.css", "embed.go",
		"../go.mod", "css/../favicon.ico", "./favicon.ico", "/favicon.ico", "favicon.ico/", "FAVICON.ICO", "favicon.ico\x00",
	} {
		if _, ok := files.find(name); ok {
			t.Errorf("%q is served", name)
		}
	}
}

func TestAFileWithoutAPlaceStopsTheStart(t *testing.T) {
	t.Parallel()
	for _, stray := range []string{"css/stray.css", "stray.php"} {
		all := fstest.MapFS{stray: {Data: []byte("x")}}
		for _, part := range styleSheetParts() {
			all["css/"+part+".css"] = &fstest.MapFile{}
		}
		if _, err := newAssets(all); err == nil || !strings.Contains(err.Error(), stray) {
			t.Errorf("with %s: error %v, want one that names it", stray, err)
		}
		delete(all, stray)
		if _, err := newAssets(all); err != nil {
			t.Errorf("without %s: %v", stray, err)
		}
		delete(all, "css/base.css")
		if _, err := newAssets(all); err == nil {
			t.Error("a style sheet may be missing")
		}
	}
}

func TestTheFirstPageIsLight(t *testing.T) {
	t.Parallel()
	views, files := newTestViews(t)
	weigh := func(name string) int {
		file, _ := files.find(files.names[name])
		return askFor(file, http.MethodGet, map[string]string{"Accept-Encoding": "gzip"}).Body.Len()
	}
	sheet, script := weigh(styleSheet), weigh("js/site.js")
	typeface := len(gzipped([]byte(readStyle(t, "typeface"))))
	if written := sheet - typeface; written >= 12<<10 {
		t.Errorf("the style sheet is %d bytes compressed, want less than 12 kB", written)
	}
	fonts, err := fs.Glob(static.Root, "root/*.woff2")
	if err != nil || len(fonts) == 0 {
		t.Fatalf("fonts: %q, %v", fonts, err)
	}
	for _, name := range fonts { // requested only if a name needs them
		font, err := fs.ReadFile(static.Root, name)
		require.NoError(t, err)
		typeface += len(font)
	}
	if typeface > 30<<10 {
		t.Errorf("the typeface is %d bytes in all, want at most 30 kB", typeface)
	}
	for name, samples := range suite(t).Data(t) {
		html, doc := pagetest.Render(t, views, name, samples[len(samples)-1])
		scripts := doc.Find("script").Length()
		if icon := doc.Find("link[rel=icon]").AttrOr("href", ""); !strings.HasPrefix(icon, "data:image/") {
			t.Errorf("%s: the icon is asked for apart, at %q", name, icon)
		}
		requests := 1 + doc.Find("link[rel=stylesheet], link[rel=manifest]").Length() + scripts
		if weight := len(html) + sheet + scripts*script; requests > 3 || weight > 30<<10 {
			t.Errorf("%s: %d requests, %d bytes, want at most 3 and 30 kB", name, requests, weight)
		}
	}
}

func TestTheFaviconIsAnImage(t *testing.T) {
	t.Parallel()
	ico, err := static.FS.ReadFile(favicon)
	require.NoError(t, err)
	const header = 22 // an ICONDIR and one ICONDIRENTRY
	if !bytes.HasPrefix(ico, []byte{0, 0, 1, 0, 1, 0, 32, 32}) {
		t.Errorf("favicon.ico begins with % x, want one image of 32 × 32", ico[:8])
	}
	picture, err := png.Decode(bytes.NewReader(ico[header:]))
	require.NoError(t, err)
	if size := picture.Bounds().Size(); size.X != 32 || size.Y != 32 {
		t.Errorf("favicon.ico is %v", size)
	}
}
