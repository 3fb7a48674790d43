package web_test

import (
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/password"
)

// Many attempts for one address run at the same time while another person logs in.
func TestManyAttemptsForOneAccountHoldUpNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded(t), options{hasher: password.NewHasher(password.Cost{MemoryKiB: 19456, Passes: 3}, 1, time.Hour)})
	bea := w.person("Bea")
	const attempts = 40
	var answered atomic.Int64
	first := make(chan struct{}, attempts)
	var all sync.WaitGroup
	for range attempts {
		all.Go(func() {
			w.browser().post("/login", url.Values{"email": {"ada@reef.example"}, "password": {sharedPassword}}).want(http.StatusUnprocessableEntity)
			answered.Add(1)
			first <- struct{}{}
		})
	}
	<-first // the others are queued
	before := answered.Load()
	w.browser().post("/login", url.Values{"email": {bea.email}, "password": {bea.password}}).wantRedirect("/profile")
	if waited := answered.Load() - before; waited > attempts/2 {
		t.Errorf("a login waited for %d of %d attempts for another account", waited, attempts)
	}
	all.Wait()
}
