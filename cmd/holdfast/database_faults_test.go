package main_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"holdfast/internal/dev/testservice"
)

// TestPostgresOutOfReach checks that people who are logged in notice nothing, and that
// requests that need accounts are refused in time and succeed again once PostgreSQL is
// back.
func TestPostgresOutOfReach(t *testing.T) {
	t.Parallel()
	postgres := testservice.PrivatePostgres(t)
	settings := onServices(testservice.Redis(t).URL, postgres.URL)
	settings["DATABASE_TIMEOUT"] = "1s"
	server := start(t, settings)
	ada := member(t, server)
	for _, fault := range []struct {
		name        string
		begin, mend func()
		within      time.Duration // the limit of one call plus the hash, both slow here
	}{
		{"stopped", postgres.Stop, postgres.Start, within(4 * time.Second)},
		{"hanging", postgres.Pause, postgres.Resume, within(5 * time.Second)},
	} {
		fault.begin()
		mustBe(t, greeted, ada, "with PostgreSQL "+fault.name)
		for path, want := range map[string]int{"/": 200, "/session": 200, "/healthz": 200, "/readyz": 503} {
			if got := ada.get(path); got.Code != want {
				t.Errorf("PostgreSQL %s, %s: %d, want %d", fault.name, path, got.Code, want)
			}
		}
		newcomer := newVisitor(t, server.URL)
		for what, try := range map[string]func() (answer, error){
			"log in":  ada.stranger().tryLogIn,
			"sign up": newcomer.trySignUp,
		} {
			got, err := try()
			if err == nil {
				err = refusedBriefly(got)
			}
			if err == nil && got.Took > fault.within {
				err = fmt.Errorf("took %s", got.Took)
			}
			if err != nil {
				t.Errorf("PostgreSQL %s, %s: %v", fault.name, what, err)
			}
		}
		fault.mend()
		steady(t, backWithin, "after PostgreSQL was "+fault.name, ada, server)
		if got := ada.get("/readyz"); got.Code != http.StatusOK {
			t.Errorf("ready after PostgreSQL was %s: %d", fault.name, got.Code)
		}
		if err := entered(newcomer.trySignUp()); err != nil {
			t.Errorf("the sign-up that was refused, again: %v", err)
		}
	}
	mustBe(t, greeted, ada, "after all")
}

func TestSessionsInPostgresAreKeptWhileItIsAway(t *testing.T) {
	t.Parallel()
	postgres := testservice.PrivatePostgres(t)
	settings := onServices("", postgres.URL)
	settings["SESSION_STORE"], settings["DATABASE_TIMEOUT"] = "database", "2s"
	server := start(t, settings)
	ada := member(t, server)
	cookie := ada.token()
	for name, fault := range map[string][2]func(){
		"stopped": {postgres.Stop, postgres.Start},
		"hanging": {postgres.Pause, postgres.Resume},
	} {
		fault[0]()
		got := ada.get("/profile")
		if err := refusedBriefly(got); err != nil || got.Took > within(6*time.Second) {
			t.Errorf("PostgreSQL %s: %v after %s", name, err, got.Took)
		}
		if got := ada.stranger().get("/"); got.Code != http.StatusOK {
			t.Errorf("PostgreSQL %s, a guest: %d", name, got.Code)
		}
		fault[1]()
		steady(t, backWithin, "after PostgreSQL was "+name, ada, server)
	}
	if ada.token() != cookie {
		t.Error("the cookie changed")
	}
}
