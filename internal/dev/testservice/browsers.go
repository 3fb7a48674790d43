package testservice

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"holdfast/internal/dev/require"
)

// Firefox runs Firefox with a new profile until the test ends. It returns the address
// on which Firefox listens for Marionette, its remote protocol.
func Firefox(t testing.TB) (addr string) {
	t.Helper()
	port := FreePort(t)
	addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	profile := filepath.Dir(written(t, "user.js", fmt.Sprintf("user_pref(%q, %d);\n", "marionette.port", port)))
	serve(t, profile, addr, Program(t, "firefox-esr", "firefox"), "--headless", "--no-remote", "--profile", profile, "--marionette", "about:blank")
	return addr
}

// WebKit runs the WebDriver of WebKitGTK on a virtual screen until the test ends. It
// returns the address that the driver listens on, and the path of the browser to start.
func WebKit(t testing.TB) (addr, browser string) {
	t.Helper()
	driver := Program(t, "WebKitWebDriver")
	browser = Program(t, "MiniBrowser")
	const firstDisplay = 6000 // port of display 0
	screen, port := FreePort(t), strconv.Itoa(FreePort(t))
	display := strconv.Itoa(screen - firstDisplay)
	// Listening on TCP shows when the X server is ready. It accepts connections from
	// this machine.
	serve(t, t.TempDir(), net.JoinHostPort("127.0.0.1", strconv.Itoa(screen)), "Xvfb", ":"+display, "-screen", "0", "1280x1024x24", "-listen", "tcp")
	addr = net.JoinHostPort("127.0.0.1", port)
	home := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(home, "run"), 0o700))
	serve(t, home, addr, "env",
		"DISPLAY=127.0.0.1:"+display, "GDK_BACKEND=x11", "HOME="+home, "XDG_RUNTIME_DIR="+filepath.Join(home, "run"),
		"LIBGL_ALWAYS_SOFTWARE=1", "NO_AT_BRIDGE=1", driver, "--host=127.0.0.1", "--port="+port)
	return addr, browser
}
