package web_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/dev/require"
	"holdfast/internal/session"
	"holdfast/internal/text"
	"holdfast/web"
)

// Every test searches its log for passwords and tokens (see newWorld). This one gives
// them every chance to get there.
func TestTheLogNeverShowsAPasswordOrToken(t *testing.T) {
	t.Parallel()
	for _, asText := range []bool{false, true} {
		w := newWorld(t, embedded(t), options{textLog: asText, learn: true})
		w.site.AddPage("/test/fault", func(c echo.Context, sess *session.Session) error {
			form, err := c.FormParams()
			if err != nil {
				return err
			}
			sess.PrepareLogIn(session.Member{ID: "x", Name: form.Get("password")}, text.Sender{UserAgent: c.Request().Header.Get("Cookie")})
			panic("with a password and a cookie at hand")
		})
		p := w.person("Ada")
		b := w.known(p)
		b.get("/profile?password=" + url.QueryEscape(p.password) + "&token=" + b.token())
		b.post("/test/fault", url.Values{"password": {p.password}}).want(http.StatusInternalServerError)
		b.postWith("/session", "key="+b.token()+"&value="+b.token()+"&value=x").want(http.StatusBadRequest)
		b.post("/session", url.Values{b.token(): {p.password}}).want(http.StatusBadRequest)
		b.get("/" + b.token()).want(http.StatusNotFound)
		b.get("/static/" + b.token()).want(http.StatusNotFound)
		w.bare("POST", "/"+b.token(), "", "Authorization: Bearer "+b.token(), "Referer: http://x/?"+b.token(), "User-Agent: "+b.token(), "Origin: http://"+b.token())
		b.do(b.request(http.MethodPut, "/login?password="+url.QueryEscape(p.password), nil)).want(http.StatusMethodNotAllowed)
		// A password typed into the wrong field comes back on the page, and only there.
		b.post("/login?typed=wrong", credentials(p.password, p.password+"!")).want(http.StatusUnprocessableEntity)
		require.NoError(t, w.db.Close())
		w.browser().logIn(p, "").want(http.StatusInternalServerError)
		w.browser().post("/register", url.Values{"name": {"Bea"}, "email": {"bea@kelp.example"}, "password": {"tides of " + p.password}}).
			want(http.StatusInternalServerError)
		if !strings.Contains(w.log.String(), "with a password and a cookie at hand") {
			t.Error("the panic is not in the log")
		}
	}
}

// unprintable reports whether r could break or forge a line for a reader of the log.
func unprintable(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }

func TestNobodyCanForgeALineOfTheLog(t *testing.T) {
	t.Parallel()
	line := "\r\n" + `{"time":"2026-01-01T00:00:00Z","level":"INFO","msg":"forged"}` + "\r\n" + `time=2026-01-01T00:00:00Z level=INFO msg=forged` + "\n"
	for _, asText := range []bool{false, true} {
		w := newWorld(t, embedded(t), options{textLog: asText, learn: true})
		b := w.browser()
		mark, sent := w.log.Mark(), 0
		for _, evil := range []string{line, "\x1b[2J\x1b[31mforged", "\u202edegrof", "\u2028forged", "\u0085forged", "\x00forged", "\u200bforged", "\xff\xfeforged", "\x7f\b\bforged"} {
			escaped := url.QueryEscape(evil)
			path := "/" + strings.ReplaceAll(escaped, "+", "%20")
			for _, a := range []*answer{
				w.raw("GET", path, ""),
				w.raw("GET", "/login"+path, ""),
				w.raw("GET", "/static"+path, ""),
				w.raw("PUT", "/static"+path, ""),
				w.raw("GET", "/?"+escaped, ""),
				b.postWith("/login", escaped+"=x"),
				b.postWith("/login", "email="+escaped+"&password=x"),
				b.postWith("/login", "email=a&email="+escaped),
				b.postWith("/register", "name="+escaped+"&email="+escaped+"&password="+escaped),
				b.postWith("/session", "key="+escaped+"&value="+escaped),
				b.postWith("/session", "%zz"+escaped),
			} {
				if a.status >= 500 {
					t.Errorf("%s answered %d", a.request.URL, a.status)
				}
				sent++
			}
		}
		logged := w.log.Since(mark)
		if i := strings.IndexFunc(logged, unprintable); i >= 0 {
			t.Errorf("the log holds %.60q", logged[i:])
		}
		lines := strings.Split(strings.TrimSuffix(logged, "\n"), "\n")
		requests := slices.DeleteFunc(slices.Clone(lines), func(line string) bool {
			return strings.Contains(line, "msg=event ") || strings.Contains(line, `"msg":"event"`)
		})
		if len(requests) != sent {
			t.Errorf("%d requests, %d lines of requests", sent, len(requests))
		}
		for _, line := range lines {
			switch {
			case asText && !strings.HasPrefix(line, "time="), asText && strings.Contains(line, " msg=forged"):
				t.Errorf("line %.200q", line)
			case !asText:
				var read struct{ Msg string }
				if err := json.Unmarshal([]byte(line), &read); err != nil || read.Msg != "request" && read.Msg != "event" {
					t.Errorf("line %.200q: %v", line, err)
				}
			}
		}
	}
}

func TestARequestIsOneLineThatNamesThePerson(t *testing.T) {
	w, p, b := withMember(t, embedded, options{})
	mark := w.log.Mark()
	b.get("/profile?colour=green").want(http.StatusOK)
	b.get("/none").want(http.StatusNotFound)
	var lines []map[string]any
	for line := range strings.Lines(w.log.Since(mark)) {
		var read map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &read))
		lines = append(lines, read)
	}
	if len(lines) != 2 {
		t.Fatalf("%d lines for two requests: %v", len(lines), lines)
	}
	for key, want := range map[string]any{
		"msg": "request", "level": "INFO", "method": "GET", "route": "/profile", "status": 200.0, "address": "127.0.0.1", "user_id": p.id,
	} {
		if lines[0][key] != want {
			t.Errorf("%s is %v, want %v", key, lines[0][key], want)
		}
	}
	if id, _ := lines[0]["request_id"].(string); len(id) != 16 || id == lines[1]["request_id"] {
		t.Errorf("request ids %v and %v", lines[0]["request_id"], lines[1]["request_id"])
	}
	if duration, ok := lines[0]["duration"].(float64); !ok || duration <= 0 {
		t.Errorf("duration %v", lines[0]["duration"])
	}
	if lines[1]["status"] != 404.0 || lines[1]["user_id"] != nil {
		t.Errorf("an unknown page: %v", lines[1])
	}
}

func TestEveryEventIsInTheLogAndInTheDocuments(t *testing.T) {
	w := parallelWorld(t, embedded, options{mail: true, slow: true})
	w.secrets.add(otherPassword)
	p := w.person("Ada")
	bea := w.browser()
	for _, email := range []string{"bea@kelp.example", p.email} {
		w.signUp(email).wantRedirect("/login")
	}
	bea.post("/login", credentials("bea@kelp.example", wrongPassword)).want(http.StatusUnprocessableEntity)
	bea.post("/login", credentials("bea@kelp.example", otherPassword)).wantRedirect("/profile")
	bea.post("/login", credentials("bea@kelp.example", otherPassword)).wantRedirect("/profile")
	confirm := w.linkIn(w.mailTo("bea@kelp.example", "Confirm your email address"))
	bea.submit(bea.get(confirm), "form[action='/verify']", nil).wantRedirect("/account")
	bea.post("/account/name", url.Values{"name": {"Bea\u2019s name"}}).wantRedirect("/account")
	bea.post("/account/proof", url.Values{"password": {wrongPassword}}).want(http.StatusUnprocessableEntity)
	bea.post("/account/proof", url.Values{"password": {otherPassword}}).wantRedirect("/account")
	other := w.browser()
	other.post("/login", credentials("bea@kelp.example", otherPassword)).wantRedirect("/profile")
	bea.post("/devices/end", url.Values{"id": {bea.otherDevices()[0]}}).wantRedirect("/devices")
	other.post("/login", credentials("bea@kelp.example", otherPassword)).wantRedirect("/profile")
	bea.post("/devices/end-others", nil).wantRedirect("/devices")
	bea.get("/account/export").want(http.StatusOK)
	bea.post("/account/email", url.Values{"email": {"new@kelp.example"}}).wantRedirect("/account")
	change := w.linkIn(w.mailTo("new@kelp.example", "Confirm your new email address"))
	bea.submit(bea.get(change), "form[action='/verify']", nil).wantRedirect("/account")
	bea.post("/account/password", url.Values{"current": {otherPassword}, "new": {sharedPassword}}).wantRedirect("/account")
	undo := w.linkIn(w.mailTo("bea@kelp.example", "Your email address was changed"))
	bea.submit(bea.get(undo), "form[action='/verify']", nil).wantReset()
	w.clock.Advance(25 * time.Hour)
	bea.post("/forgot", url.Values{"email": {"bea@kelp.example"}}).wantRedirect("/login")
	reset := w.linkIn(w.mailTo("bea@kelp.example", "Choose a new password"))
	bea.submit(bea.get(reset), "form[action='/reset']", map[string]string{"password": otherPassword}).wantRedirect("/login")
	bea.post("/login", credentials("bea@kelp.example", otherPassword)).wantRedirect("/profile")
	bea.post("/logout", nil).wantRedirect("/login")
	for range 6 {
		w.browser().post("/login", credentials(p.email, wrongPassword))
	}
	bea.post("/login", credentials("bea@kelp.example", otherPassword)).wantRedirect("/profile")
	bea.post("/account/delete", url.Values{"email": {"bea@kelp.example"}}).wantRedirect("/")
	keep := w.linkIn(w.mailTo("bea@kelp.example", tellsClosing))
	w.answersKeep(keep[strings.Index(keep, "=")+1:], "keep").want(http.StatusSeeOther)
	history := strings.Join(w.rows(`SELECT event FROM history`), "\n")
	bea.post("/login", credentials("bea@kelp.example", otherPassword)).wantRedirect("/profile")
	bea.post("/account/delete", url.Values{"email": {"bea@kelp.example"}}).wantRedirect("/")
	w.deletesNow("bea@kelp.example")
	w.sendMail()

	documents, err := os.ReadFile("../docs/operations.md")
	require.NoError(t, err)
	log := w.log.String()
	historyAlone := []account.EventKind{account.EventSignUpAgain, account.EventResetAsked, account.EventSessionExpired}
	// The history has no row for a session that expired: its device records that.
	noRow := []account.EventKind{account.EventExported, account.EventDeleted, account.EventSessionExpired}
	for _, kind := range append(web.HistoryKinds(), account.EventDeleted, "throttled") {
		if !strings.Contains(string(documents), "`"+string(kind)+"`") {
			t.Errorf("docs/operations.md does not list %s", kind)
		}
		if !strings.Contains(log, `"event":"`+string(kind)+`"`) && !slices.Contains(historyAlone, kind) {
			t.Errorf("the log has no %s", kind)
		}
		if !regexp.MustCompile(`(?m)^`+string(kind)+`$`).MatchString(history) && !slices.Contains(noRow, kind) && kind != "throttled" {
			t.Errorf("the history has no %s", kind)
		}
	}
}
