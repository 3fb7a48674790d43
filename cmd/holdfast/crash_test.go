package main_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"holdfast/internal/dev/testprocess"
)

// attempt is one person's sign-up and whether the server acknowledged it.
type attempt struct {
	who          *visitor
	acknowledged bool
}

func TestNoAcknowledgedSignUpIsLostAndNoneIsStuckByKill9(t *testing.T) {
	t.Parallel()
	each(t, bothStacks(), func(t *testing.T, _ string, on func(testing.TB) testprocess.Settings) {
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 0))
		server := start(t, on(t))
		server.Keep(password)
		for round := range killRounds() {
			attempts := signUpUntilKilled(t, server, 1+random.IntN(4), time.Duration(random.IntN(60))*time.Millisecond)
			server.Start()
			for _, a := range attempts {
				if err := remains(a); err != nil {
					t.Errorf("seed %d, round %d, %s, acknowledged %t: %v", seed, round, a.who.email, a.acknowledged, err)
				}
			}
		}
	})
}

// signUpUntilKilled signs people up in four parallel loops. It kills the server a
// moment after the given number of sign-ups have succeeded.
func signUpUntilKilled(t *testing.T, server *testprocess.Server, after int, moment time.Duration) []attempt {
	t.Helper()
	const lines = 4
	var mu sync.Mutex
	var attempts []attempt
	var all sync.WaitGroup
	enough := make(chan struct{})
	killed := make(chan struct{})
	acknowledged := 0
	for range lines {
		all.Go(func() {
			for {
				who := newVisitor(t, server.URL)
				err := entered(who.trySignUp())
				mu.Lock()
				attempts = append(attempts, attempt{who, err == nil})
				if err == nil {
					if acknowledged++; acknowledged == after {
						close(enough)
					}
				}
				mu.Unlock()
				select {
				case <-killed:
					return
				default:
				}
				if err != nil {
					<-killed // the connection broke because the server is being killed
					return
				}
			}
		})
	}
	select {
	case <-enough:
	case <-time.After(answerLimit):
		t.Errorf("fewer than %d sign-ups in %s", after, answerLimit)
	}
	<-time.After(moment) // somewhere in the middle of the next sign-ups
	server.Kill()
	close(killed)
	all.Wait()
	return attempts
}

// remains returns nil if an acknowledged attempt left its account and session, and if
// the person of any other attempt can log in or send the same form again.
func remains(a attempt) error {
	if a.acknowledged {
		if err := greeted(a.who); err != nil {
			return fmt.Errorf("the session from the sign-up: %w", err)
		}
	}
	again := a.who.stranger()
	got, err := again.tryLogIn()
	if err != nil {
		return err
	}
	if entered(got, nil) == nil {
		return greeted(again)
	}
	if a.acknowledged || got.Code != http.StatusUnprocessableEntity {
		return fmt.Errorf("log in: %d, %q", got.Code, got.text(".errors"))
	}
	return entered(again.trySignUp())
}
