package web_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/dev/require"
	"holdfast/internal/session"
	"holdfast/web"
)

// counting creates a table n of the numbers from 1 to $1.
const counting = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) `

// TestTheDownloadHasEveryRowHoweverMany: many rows share a time, so pages end between
// rows of the same time.
func TestTheDownloadHasEveryRowHoweverMany(t *testing.T) {
	onBothStacks(t, func(t *testing.T, w *world) {
		const sessions, events = 2_500, 10_000
		p, b := w.newMember("Ada")
		for _, insert := range []struct {
			query string
			rows  int
		}{
			{`INSERT INTO history (id, person_id, event, at_ms, user_agent, address)
			  SELECT 'event' || i, $2, 'log_in', 1700000000000 + i / 7, '', '' FROM n`, events},
			{`INSERT INTO devices (id, person_id, session_key, user_agent, address, remembered, created_ms, deadline_ms, confirmed, ended_ms, ended_how)
			  SELECT substr('device0000', 1, 16 - length(CAST(i AS TEXT))) || i, $2, substr('0000000000000000000000000000000000000000000', 1, 43 - length(CAST(i AS TEXT))) || i,
			    '', '', FALSE, 1600000000000, 1700000000000, TRUE, 1690000000000 + i / 7, 'owner' FROM n`, sessions},
		} {
			w.sql(counting+insert.query, insert.rows, p.id)
		}
		var all struct{ Sessions, History []map[string]any }
		require.NoError(t, json.Unmarshal(b.get("/account/export").want(http.StatusOK).body, &all))
		wantInOrder := func(rows []map[string]any, at string, n int) {
			t.Helper()
			var before time.Time
			for i, row := range rows {
				of, err := time.Parse(time.RFC3339Nano, row[at].(string))
				require.NoError(t, err)
				if i > 0 && of.After(before) {
					t.Fatalf("row %d is of %v, and the one before it of %v", i, of, before)
				}
				before = of
			}
			if len(rows) != n {
				t.Errorf("%d rows, want %d", len(rows), n)
			}
		}
		if len(all.Sessions) == 0 || all.Sessions[0]["ended"] != nil {
			t.Fatal("the first session is not the one that asks")
		}
		wantInOrder(all.Sessions[1:], "ended", sessions)
		wantInOrder(all.History, "at", events)
		ids := map[any]bool{}
		for _, row := range all.Sessions {
			ids[row["id"]] = true
		}
		if len(ids) != sessions+1 {
			t.Errorf("%d sessions have an id of their own, want %d", len(ids), sessions+1)
		}
	})
}

func TestTheDownloadHasValuesBrowsersAndOtherAddresses(t *testing.T) {
	onBothStacksWith(t, options{mail: true}, func(t *testing.T, w *world) {
		p := w.person("Ada")
		w.verify(p)
		b := w.known(p)
		w.member(p).post("/session", url.Values{"key": {"colour"}, "value": {"of another browser"}}).wantRedirect("/session")
		b.post("/session", url.Values{"key": {"colour"}, "value": {"kelp green"}}).wantRedirect("/session")
		w.moves(b, "moved@kelp.example")
		w.sendMail()
		b.post("/account/email", url.Values{"email": {"next@kelp.example"}}).wantRedirect("/account")
		for _, sent := range []string{"before", "after"} {
			var all struct {
				Browsers  []map[string]any `json:"known_browsers"`
				Addresses []map[string]any `json:"other_addresses"`
				Sessions  []struct{ Values map[string]string }
			}
			require.NoError(t, json.Unmarshal(b.get("/account/export").want(http.StatusOK).body, &all))
			if len(all.Browsers) != 1 || len(all.Browsers[0]) != 2 {
				t.Errorf("browsers %v", all.Browsers)
			}
			got := map[any]any{}
			for _, a := range all.Addresses {
				got[a["purpose"]] = a["email"]
			}
			if len(all.Addresses) != 2 || got["undo"] != p.email || got["change"] != "next@kelp.example" {
				t.Errorf("%s the email was sent: addresses %v", sent, all.Addresses)
			}
			var values []string
			for _, s := range all.Sessions {
				values = append(values, s.Values["colour"])
			}
			if slices.Sort(values); !slices.Contains(values, "kelp green") || !slices.Contains(values, "of another browser") {
				t.Errorf("values of the sessions %q", values)
			}
			w.sendMail()
		}
		_, err := w.db.SQL().ExecContext(t.Context(), `DELETE FROM history`)
		require.NoError(t, err)
		if sent := b.get("/account/export").want(http.StatusOK).body; !json.Valid(sent) {
			t.Errorf("with a list that is empty: %s", sent)
		}
	})
}

// TestAStreamThatFailsIsNotTakenForTheWhole: before the first part is sent, the
// response is an error page.
func TestAStreamThatFailsIsNotTakenForTheWhole(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	for path, before := range map[string]int{"/fails-first": 0, "/fails-later": 200_000} {
		w.site.AddPage(path, func(c echo.Context, _ *session.Session) error {
			c.Response().Header().Set(echo.HeaderContentDisposition, "attachment")
			c.Set(web.StreamKey, func(out io.Writer) error {
				_, _ = io.WriteString(out, strings.Repeat("x", before))
				return account.ErrUnavailable
			})
			return nil
		})
	}
	b := w.browser()
	b.get("/fails-first").want(http.StatusServiceUnavailable).wantText("h1", "We can’t reach the database right now").wantHeader(echo.HeaderContentDisposition, "")
	mark := w.log.Mark()
	response, err := b.client.Do(b.request(http.MethodGet, "/fails-later", nil))
	require.NoError(t, err)
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); !errors.Is(err, io.ErrUnexpectedEOF) || response.StatusCode != http.StatusOK {
		t.Errorf("answered %d with %d bytes and %v", response.StatusCode, len(body), err)
	}
	if line := w.log.Since(mark); !strings.Contains(line, "ERROR") || !strings.Contains(line, account.ErrUnavailable.Error()) {
		t.Errorf("the log says %q", line)
	}
}

func TestTheDownloadHasAllThatIsKeptOfThePersonAndNothingToLogInWith(t *testing.T) {
	onBothStacksWith(t, options{}, func(t *testing.T, w *world) {
		p := w.person("Ada")
		b := w.known(p)
		w.member(p)
		b.post("/devices/end-others", nil).wantRedirect("/devices")
		a := b.get("/account/export").want(http.StatusOK)
		var all struct {
			Person   map[string]any
			Sessions []map[string]any
			History  []map[string]any
		}
		require.NoError(t, json.Unmarshal(a.body, &all))
		if all.Person["email"] != p.email || all.Person["name"] != p.name || len(all.Sessions) != 2 || len(all.History) != 2 {
			t.Errorf("%s", a.body)
		}
		if !strings.HasPrefix(a.header.Get("Content-Disposition"), "attachment") || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("headers %v", a.header)
		}
		for _, row := range append(w.rows(`SELECT session_key FROM devices`), w.rows(`SELECT hash FROM browsers`)...) {
			if strings.Contains(string(a.body), row) {
				t.Errorf("the download has the hash %s", row)
			}
		}
		if strings.Contains(string(a.body), "argon2") {
			t.Error("the download has the password's hash")
		}
	})
}

func TestAGuestWhoWantsTheDownloadGetsItAfterLoggingIn(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	p := w.person("Ada")
	b := w.browser()
	page := b.follow(b.get("/account/export").wantRedirect("/login?next=%2Faccount%2Fexport"))
	in := b.submit(page, "form[action='/login']", map[string]string{"email": p.email, "password": p.password}).wantRedirect("/account/export")
	if got := b.follow(in).want(http.StatusOK).header.Get("Content-Disposition"); !strings.HasPrefix(got, "attachment") {
		t.Errorf("Content-Disposition %q", got)
	}
}
