package testservice_test

import (
	"runtime"
	"testing"

	"holdfast/internal/dev/testservice"
)

// witness stands in for a test and sees how it was ended.
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
	for name, act := range map[string]func(*testservice.PostgresServer){
		"Stop":   (*testservice.PostgresServer).Stop,
		"Start":  (*testservice.PostgresServer).Start,
		"Pause":  (*testservice.PostgresServer).Pause,
		"Resume": (*testservice.PostgresServer).Resume,
	} {
		t.Run(name, func(t *testing.T) {
			got := &witness{TB: t}
			done := make(chan struct{})
			go func() {
				defer close(done)
				act(testservice.Postgres(got))
			}()
			<-done
			if !got.failed {
				t.Error("another test's server was touched")
			}
		})
	}
}
