package web

import (
	"net/http"
	"strings"
	"testing"
)

// wantAsInNetHTTP compares findCookie with what net/http finds.
func wantAsInNetHTTP(t *testing.T, name string, lines ...string) {
	t.Helper()
	r := http.Request{Header: http.Header{"Cookie": lines}}
	var want string
	cookies := r.CookiesNamed(name)
	if len(cookies) > 0 {
		want = cookies[0].Value
	}
	if value, count := findCookie(r.Header, name); value != want || count != len(cookies) {
		t.Errorf("%.200q: found %d cookies %q, the first %q; net/http finds %d, the first %q", lines, count, name, value, len(cookies), want)
	}
}

func cookieLines() []string {
	return []string{
		"", ";", "=", "session", "session=", "session=a", " session = a ", "\tsession\t=\ta", "session=a=b", "session==", "=session",
		"Session=a", "xsession=a", "session2=a", "session =a", "\"session\"=a", "session\x00=a", "é=a; session=b",
		"session=a; session=b", "session=a;session=a", "x=1; session=a; y=2", "x; session=a", "session=a,b c", "session=a b ;",
		`session="a"`, `session="a`, `session="`, `session=""`, `session="""`, `session="a";session=b`, `session=a"b`, `session=a\b`, `session="a;b"`,
		"session=\x7f", "session=\xff", "session=é", "session=a\tb", "session=a\r\nb", "session= a", "session=\u2028; session=c",
		"session=" + strings.Repeat("a", 5000), strings.Repeat(";", 2999) + "session=a", strings.Repeat(";", 3000) + "session=a",
	}
}

func TestASessionCookieIsFoundAsNetHTTPFindsIt(t *testing.T) {
	t.Parallel()
	wantAsInNetHTTP(t, "session")
	for _, name := range []string{"session", "__Host-session"} {
		for _, line := range cookieLines() {
			line = strings.ReplaceAll(line, "session", name)
			wantAsInNetHTTP(t, name, line)
			for _, other := range cookieLines() {
				wantAsInNetHTTP(t, name, other, line)
				wantAsInNetHTTP(t, name, line+";"+other)
			}
		}
	}
}

func FuzzFindCookie(f *testing.F) {
	for _, line := range cookieLines() {
		f.Add(line, "session=z")
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		wantAsInNetHTTP(t, "session", first, second)
		wantAsInNetHTTP(t, "session", first)
	})
}
