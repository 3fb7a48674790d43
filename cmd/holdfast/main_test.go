package main_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"holdfast/internal/dev/campaign"
	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testkit/chromium"
	"holdfast/internal/dev/testprocess"
	"holdfast/internal/dev/testservice"
)

func TestMain(m *testing.M) {
	testservice.Parallel(8)
	testservice.Main(m, chromium.End)
}

// pause is the time between two requests of a client that sends one after the other:
// without it, a few of them take all the time of a small machine.
const pause = 5 * time.Millisecond

// program returns the path of the program under test. The first call builds it.
func program(t testing.TB) string {
	t.Helper()
	path, err := build()
	require.NoError(t, err)
	return path
}

var build = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "program-")
	if err != nil {
		return "", err
	}
	return testprocess.Build(folder, "holdfast/cmd/holdfast", "-ldflags=-w") // faster to link
})

// start starts a server in a new folder.
func start(t testing.TB, settings testprocess.Settings) *testprocess.Server {
	t.Helper()
	folder := t.TempDir()
	if settings["DATABASE_URL"] == "" && settings["DATA_DIR"] == "" {
		// Migrating SQLite takes longer than the rest of the start.
		require.NoError(t, os.Mkdir(filepath.Join(folder, ".data"), 0o700))
		testkit.CopySQLite(t, filepath.Join(folder, ".data"))
	}
	return startIn(t, folder, settings)
}

// startIn is start in a folder, which it creates if it is missing.
func startIn(t testing.TB, folder string, settings testprocess.Settings) *testprocess.Server {
	t.Helper()
	require.NoError(t, os.MkdirAll(folder, 0o700))
	return testprocess.Start(t, program(t), folder, settings)
}

// strict makes settings use the program's default timeouts for its stores, or longer
// ones in make test, where everything runs at the same time.
func strict(settings testprocess.Settings) testprocess.Settings {
	timeouts := testprocess.Settings{"REDIS_TIMEOUT": "2s", "REDIS_CONNECT_TIMEOUT": "1s", "DATABASE_TIMEOUT": "6s"}
	if campaign.On() {
		timeouts = testprocess.Settings{"REDIS_TIMEOUT": "", "REDIS_CONNECT_TIMEOUT": "", "DATABASE_TIMEOUT": ""}
	}
	maps.Copy(settings, timeouts)
	return settings
}

// onServices returns the settings for the services at these addresses; "" means
// embedded.
func onServices(redis, postgres string) testprocess.Settings {
	return testprocess.Settings{"REDIS_URL": redis, "DATABASE_URL": postgres}
}

// embedded returns the settings for the embedded stores.
func embedded(testing.TB) testprocess.Settings { return testprocess.Settings{} }

// services returns the settings for a Redis and a PostgreSQL that other tests share, each
// with a database of its own.
func services(t testing.TB) testprocess.Settings {
	t.Helper()
	return onServices(testservice.Redis(t).URL, testkit.Postgres(t).URL)
}

func bothStacks() map[string]func(testing.TB) testprocess.Settings {
	return map[string]func(testing.TB) testprocess.Settings{"embedded": embedded, "Redis and PostgreSQL": services}
}

// each runs test for every case, as parallel subtests.
func each[C any](t *testing.T, cases map[string]C, test func(t *testing.T, name string, c C)) {
	t.Helper()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, name, c)
		})
	}
}

// sample returns n of all, other ones in every run, or all of them in the campaign.
func sample[C any](all []C, n int) []C {
	all = slices.Clone(all)
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:campaign.Number(n, len(all))]
}

// greeted returns nil if the profile greets v by name.
func greeted(v *visitor) error {
	got, err := v.ask("GET", "/profile", nil)
	if err != nil {
		return err
	}
	if h1 := got.text("h1"); got.Code != http.StatusOK || h1 != "Hello, "+v.name+"!" {
		return fmt.Errorf("/profile: %d, heading %q", got.Code, h1)
	}
	return nil
}

// asked returns nil if the profile redirects v to the login page.
func asked(v *visitor) error {
	got, err := v.ask("GET", "/profile", nil)
	if err != nil {
		return err
	}
	if to := got.Header.Get("Location"); got.Code != http.StatusSeeOther || to != "/login?next=%2Fprofile" {
		return fmt.Errorf("/profile: %d to %q, want the log-in page", got.Code, to)
	}
	return nil
}

// ready returns nil if v's server says that it is ready.
func ready(v *visitor) error {
	got, err := v.ask("GET", "/readyz", nil)
	if err == nil && got.Code != http.StatusOK {
		err = fmt.Errorf("/readyz: %d, %s", got.Code, got.Body)
	}
	return err
}

// up returns nil if v is greeted and can log in with a new browser.
func up(v *visitor) error {
	if err := greeted(v); err != nil {
		return err
	}
	return entered(v.stranger().tryLogIn())
}

// steady waits until all servers are up for v several times in a row. Call it after a
// fault, before expecting anything to succeed.
func steady(t testing.TB, limit time.Duration, when string, v *visitor, servers ...*testprocess.Server) {
	t.Helper()
	testkit.Steadily(t, limit, when, func() error { return atEach(servers, v, up) })
}

// atEach returns nil if is does for v at all servers.
func atEach(servers []*testprocess.Server, v *visitor, is func(*visitor) error) error {
	for _, server := range servers {
		if err := is(v.at(server.URL)); err != nil {
			return fmt.Errorf("at %s: %w", server.URL, err)
		}
	}
	return nil
}

// staysAsked waits until the servers ask v to log in several times in a row. It fails
// the test if one of them greets v before that.
func staysAsked(t testing.TB, limit time.Duration, when string, v *visitor, servers ...*testprocess.Server) {
	t.Helper()
	testkit.Steadily(t, limit, when, func() error {
		return atEach(servers, v, func(v *visitor) error {
			err := asked(v)
			if err != nil && greeted(v) == nil {
				t.Fatalf("%s: greeted at %s", when, v.Base)
			}
			return err
		})
	})
}

// within returns limit, which holds on an idle machine, or a longer one in make test,
// where everything runs at the same time.
func within(limit time.Duration) time.Duration {
	return limit * time.Duration(campaign.Number(5, 1))
}

func mustBe(t testing.TB, is func(*visitor) error, v *visitor, when string) {
	t.Helper()
	if err := is(v); err != nil {
		t.Fatalf("%s: %v", when, err)
	}
}

// refusedBriefly returns nil if got is a 503 page of the site that says when to retry
// and sets no cookie.
func refusedBriefly(got answer) error {
	switch {
	case got.Code != http.StatusServiceUnavailable:
		return fmt.Errorf("status %d, want 503", got.Code)
	case got.Header.Get("Retry-After") == "":
		return errors.New("503 without Retry-After")
	case len(got.Header.Values("Set-Cookie")) > 0:
		return errors.New("503 with Set-Cookie")
	case got.page.Find("header .brand").Length() != 1 || got.text("h1") == "":
		return errors.New("503 without the look of the site")
	}
	return nil
}

// mustRefuseBriefly returns a function that fails the test unless the response passes
// refusedBriefly.
func mustRefuseBriefly(t testing.TB, what string) func(answer, error) {
	return func(got answer, err error) {
		t.Helper()
		if err == nil {
			err = refusedBriefly(got)
		}
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}
