package database_test

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"

	"holdfast/internal/account"
	"holdfast/internal/database"
	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testservice"
)

// testURL returns a server's URL for another user.
func testURL(t *testing.T, server, user, password string) string {
	t.Helper()
	u, err := url.Parse(server)
	require.NoError(t, err)
	u.User = url.UserPassword(user, password)
	return u.String()
}

func TestOpenSaysWhatIsWrongWithAURLWithoutItsPassword(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	closed := listener.Addr().String()
	listener.Close()
	for _, c := range []struct{ url, says string }{
		{"postgres://ada:hushhush@" + closed + "/kelp", closed + "/kelp"},
		{"postgres://ada@" + closed + "/kelp?password=hushhush", "refused"},
		{"postgres://ada:hush%2Fhushhush@" + closed + "/kelp", "refused"},
		{"postgres://ada:hush/hush@" + closed + "/kelp", "percent-encode /"},
		{"postgres://ada:hush#hush@" + closed + "/kelp", ""},
		{"postgres://ada:%zzhush@" + closed + "/kelp", "percent-encode /"},
		{"postgres://ada:hushhush@" + closed + "/kelp?sslmode=hardly", "sslmode"},
		{"postgres://ada:hushhush@" + closed + "/kelp?pool_max_conns=many", "pool_max_conns"},
		{"postgres://ada:hushhush@" + closed + "/kelp?connect_timeout=soon", "connect_timeout"},
		{"postgres://ada:hushhush@[::1/kelp", "percent-encode /"},
		{"mysql://ada:hushhush@localhost/kelp", "postgres://"},
		{"host=localhost password=hushhush", "postgres://"},
		{"hushhush", "postgres://"},
		{"postgres://ada:hushhush@host.invalid/kelp", "host.invalid"},
		{"postgres://ada:hushhush@" + closed + "/kelp?sslmode=verify-full&sslrootcert=/nowhere/ca.pem", "ca.pem"},
	} {
		_, err := database.Open(t.Context(), database.Config{URL: c.url})
		if err == nil {
			t.Errorf("%s: opened", c.url)
			continue
		}
		for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%q", err)} {
			if strings.Contains(text, "hush") {
				t.Errorf("%s: the error %q tells the password", c.url, text)
			}
		}
		if !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want a word of %q", c.url, err, c.says)
		}
	}
}

func TestOpenNamesServerAndReasonOfARefusal(t *testing.T) {
	server := testservice.Postgres(t)
	u, err := url.Parse(server.URL)
	require.NoError(t, err)
	_, err = database.Open(t.Context(), database.Config{URL: testURL(t, server.URL, "holdfast", "hushhush"), Timeout: testkit.Patience})
	if !errors.Is(err, account.ErrUnavailable) || !strings.Contains(err.Error(), u.Host) ||
		!strings.Contains(err.Error(), "password authentication failed") || strings.Contains(err.Error(), "hushhush") {
		t.Errorf("wrong password: %v", err)
	}
	u.Path = "/nowhere"
	_, err = database.Open(t.Context(), database.Config{URL: u.String(), Timeout: testkit.Patience})
	if !errors.Is(err, account.ErrUnavailable) || !strings.Contains(err.Error(), `"nowhere" does not exist`) {
		t.Errorf("no such database: %v", err)
	}
}

func TestNameTellsWhereWithoutWho(t *testing.T) {
	server := testservice.Postgres(t)
	u, err := url.Parse(server.URL)
	require.NoError(t, err)
	db := open(t, database.Config{URL: server.URL})
	if want := "PostgreSQL at " + u.Host + u.Path; db.Name() != want {
		t.Errorf("name %q; want %q", db.Name(), want)
	}
	if db.Pool() == nil || db.Pool().Config().MaxConns != database.DefaultMaxConns {
		t.Error("the pool does not have the stated size")
	}
	if got := open(t, database.Config{URL: server.URL, MaxConns: 7}).Pool().Config().MaxConns; got != 7 {
		t.Errorf("pool of %d; want 7 as set", got)
	}
}

func TestServerGivesUpWhatTheClientGaveUp(t *testing.T) {
	server := testservice.Postgres(t)
	limits := func(db *database.DB) (got [4]string) {
		t.Helper()
		for i, name := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "application_name"} {
			got[i] = value[string](t, db, `SELECT current_setting($1)`, name)
		}
		return got
	}
	if got, want := limits(open(t, database.Config{URL: server.URL})), [4]string{"2s", "1s", "4s", "holdfast"}; got != want {
		t.Errorf("limits %q; want %q", got, want)
	}
	own := open(t, database.Config{URL: server.URL + "?statement_timeout=700&application_name=kelp&pool_max_conns=3"})
	if got, want := limits(own), [4]string{"700ms", "1s", "4s", "kelp"}; got != want {
		t.Errorf("limits in the URL: %q; want %q", got, want)
	}
	if got := own.Pool().Config().MaxConns; got != 3 {
		t.Errorf("pool of %d; want that of the URL", got)
	}
}

func TestOpenRefusesADatabaseThatIsNotUTF8(t *testing.T) {
	server := testservice.Postgres(t)
	db := open(t, database.Config{URL: server.URL, Timeout: testkit.Patience})
	run(t, db, `CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0`)
	defer run(t, db, `DROP DATABASE latin WITH (FORCE)`)
	u, err := url.Parse(server.URL)
	require.NoError(t, err)
	u.Path = "/latin"
	if _, err := database.Open(t.Context(), database.Config{URL: u.String(), Timeout: testkit.Patience}); err == nil || !strings.Contains(err.Error(), "LATIN1") {
		t.Errorf("opened, or not for the encoding: %v", err)
	}
}
