package main_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
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

// program is the path of the program under test, built when the first test
// asks.
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
	return testprocess.Build(folder, "holdfast/cmd/holdfast")
})

// start starts a server in a fresh folder. It waits long for its stores where
// the settings say nothing else: on a machine that runs all tests at once, one
// that is slow is not one that is down.
func start(t testing.TB, settings testprocess.Settings) *testprocess.Server {
	t.Helper()
	patient := testprocess.Settings{"REDIS_TIMEOUT": "10s", "REDIS_CONNECT_TIMEOUT": "10s", "DATABASE_TIMEOUT": "10s"}
	maps.Copy(patient, settings)
	return testprocess.Start(t, program(t), t.TempDir(), patient)
}

// strict are the limits that hold where nothing is set.
func strict(settings testprocess.Settings) testprocess.Settings {
	maps.Copy(settings, testprocess.Settings{"REDIS_TIMEOUT": "", "REDIS_CONNECT_TIMEOUT": "", "DATABASE_TIMEOUT": ""})
	return settings
}

// onServices are the settings for the services at these addresses; "" is what is
// embedded.
func onServices(redis, postgres string) testprocess.Settings {
	return testprocess.Settings{"REDIS_URL": redis, "DATABASE_URL": postgres}
}

// bothStacks are the settings for what is embedded, and for real services.
func bothStacks() map[string]func(testing.TB) testprocess.Settings {
	return map[string]func(testing.TB) testprocess.Settings{
		"embedded": func(testing.TB) testprocess.Settings { return testprocess.Settings{} },
		"Redis and PostgreSQL": func(t testing.TB) testprocess.Settings {
			return onServices(testservice.Redis(t).URL, testkit.Postgres(t).URL)
		},
	}
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

// greeted is nil when this visitor's profile greets them by name.
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

// asked is nil when the profile sends this visitor to log in.
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

// up is nil when v is greeted, and someone can log in.
func up(v *visitor) error {
	if err := greeted(v); err != nil {
		return err
	}
	return entered(v.stranger().tryLogIn())
}

// steady waits until all servers are up for v, several times in a row: after a
// fault, before anything is expected to succeed.
func steady(t testing.TB, limit time.Duration, when string, v *visitor, servers ...*testprocess.Server) {
	t.Helper()
	testkit.Steadily(t, limit, when, func() error {
		for _, server := range servers {
			if err := up(v.at(server.URL)); err != nil {
				return fmt.Errorf("at %s: %w", server.URL, err)
			}
		}
		return nil
	})
}

// staysAsked waits until the servers ask v to log in, several times in a row. It
// fails the test when one of them greets v before that.
func staysAsked(t testing.TB, limit time.Duration, when string, v *visitor, servers ...*testprocess.Server) {
	t.Helper()
	testkit.Steadily(t, limit, when, func() error {
		for _, server := range servers {
			at := v.at(server.URL)
			err := asked(at)
			if err != nil && greeted(at) == nil {
				t.Fatalf("%s: greeted at %s", when, server.URL)
			}
			if err != nil {
				return fmt.Errorf("at %s: %w", server.URL, err)
			}
		}
		return nil
	})
}

// within is a limit of the program that holds on an idle machine. In make test,
// where everything runs at the same time, it is longer.
func within(limit time.Duration) time.Duration {
	return limit * time.Duration(campaign.Number(5, 1))
}

func mustBe(t testing.TB, is func(*visitor) error, v *visitor, when string) {
	t.Helper()
	if err := is(v); err != nil {
		t.Fatalf("%s: %v", when, err)
	}
}

// refusedBriefly is nil when got says: not now, come back, nothing changed.
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

// mustRefuseBriefly returns a check of an answer, which has to be one of
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
