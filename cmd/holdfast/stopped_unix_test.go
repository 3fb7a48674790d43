//go:build unix

package main_test

import (
	"fmt"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testservice"
)

// TestAServerThatStoodStillAnswersWhatWaited: a server is stopped for longer than it
// trusts its last heartbeat, as a laptop that sleeps or a machine that is moved. The
// requests that came in the meantime are answered, not refused.
func TestAServerThatStoodStillAnswersWhatWaited(t *testing.T) {
	t.Parallel()
	server := start(t, onServices(testservice.Redis(t).URL, testkit.Postgres(t).URL))
	ada := member(t, server)
	require.NoError(t, greeted(ada))
	require.NoError(t, syscall.Kill(server.PID(), syscall.SIGSTOP))
	const requests = 30
	answers := make([]error, requests)
	var waiting sync.WaitGroup
	for i := range answers {
		waiting.Go(func() {
			got, err := ada.ask("GET", "/profile", nil)
			if err == nil && got.Code != http.StatusOK {
				err = fmt.Errorf("status %d", got.Code)
			}
			answers[i] = err
		})
	}
	time.Sleep(4 * time.Second) // longer than the three seconds of trust
	require.NoError(t, syscall.Kill(server.PID(), syscall.SIGCONT))
	waiting.Wait()
	for i, err := range answers {
		if err != nil {
			t.Errorf("request %d: %v\n%s", i, err, server.Log())
			return
		}
	}
}
