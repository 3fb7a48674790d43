package testservice_test

import (
	"runtime"
	"testing"

	"holdfast/internal/dev/testservice"
)

// witness replaces a test and records whether it was skipped or failed.
type witness struct {
	testing.TB
	skipped, failed bool
}

func (w *witness) Helper() {}

func (w *witness) Skipf(string, ...any) {
	w.skipped = true
	runtime.Goexit()
}

func (w *witness) Fatalf(string, ...any) {
	w.failed = true
	runtime.Goexit()
}

func TestAMissingProgramSkipsOrFailsAsAsked(t *testing.T) {
	for required, want := range map[string]witness{
		"":  {skipped: true},
		"0": {skipped: true},
		"1": {failed: true},
	} {
		t.Setenv("HOLDFAST_REQUIRE_SERVICES", required)
		got := new(witness)
		done := make(chan struct{})
		go func() {
			defer close(done)
			testservice.Program(got, "no-such-program", "nor-this-one")
		}()
		<-done
		if *got != want {
			t.Errorf("HOLDFAST_REQUIRE_SERVICES=%q: skipped %t, failed %t", required, got.skipped, got.failed)
		}
	}
}

func TestASharedServerCannotBeStopped(t *testing.T) {
	for name, act := range map[string]func(testing.TB){
		"PostgreSQL Stop":   func(t testing.TB) { testservice.Postgres(t).Stop() },
		"PostgreSQL Start":  func(t testing.TB) { testservice.Postgres(t).Start() },
		"PostgreSQL Pause":  func(t testing.TB) { testservice.Postgres(t).Pause() },
		"PostgreSQL Resume": func(t testing.TB) { testservice.Postgres(t).Resume() },
		"Redis Stop":        func(t testing.TB) { testservice.Redis(t).Stop() },
		"Redis Kill":        func(t testing.TB) { testservice.Redis(t).Kill() },
		"Redis Start":       func(t testing.TB) { testservice.Redis(t).Start() },
		"Redis Pause":       func(t testing.TB) { testservice.Redis(t).Pause() },
		"Redis Resume":      func(t testing.TB) { testservice.Redis(t).Resume() },
	} {
		t.Run(name, func(t *testing.T) {
			got := &witness{TB: t}
			done := make(chan struct{})
			go func() {
				defer close(done)
				act(got)
			}()
			<-done
			if !got.failed {
				t.Error("another test's server was touched")
			}
		})
	}
}
