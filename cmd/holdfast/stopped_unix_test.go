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
)

// TestAServerThatStoodStillAnswersWhatWaited stops a server for longer than it trusts
// its last heartbeat, as when a laptop sleeps or a virtual machine is moved. The server
// responds to the requests that came in meanwhile instead of refusing them.
func TestAServerThatStoodStillAnswersWhatWaited(t *testing.T) {
	t.Parallel()
	server := start(t, services(t))
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
	time.Sleep(4 * time.Second) // longer than the three seconds for which it trusts a heartbeat
	require.NoError(t, syscall.Kill(server.PID(), syscall.SIGCONT))
	waiting.Wait()
	for i, err := range answers {
		if err != nil {
			t.Errorf("request %d: %v\n%s", i, err, server.Log())
			return
		}
	}
}
