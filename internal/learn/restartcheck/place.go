package restartcheck

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"holdfast/internal/product"
)

// cleanLimit bounds the removal of what was left in a real service.
const cleanLimit = 30 * time.Second

// place is where one trial keeps everything: a folder, a schema of its own in
// PostgreSQL where that is used, and in Redis the sessions it has made.
type place struct {
	store       string
	folder      string
	redisURL    string
	databaseURL string // with the schema; "" for SQLite in folder
	schema      *schema

	mu     sync.Mutex
	tokens []string // of all sessions the servers have handed out
}

func openPlace(ctx context.Context, o Options, store string) (*place, error) {
	folder, err := os.MkdirTemp("", product.Slug+"-restart-check-")
	if err != nil {
		return nil, err
	}
	p := &place{store: store, folder: folder, redisURL: o.RedisURL}
	if o.DatabaseURL == "" {
		return p, nil
	}
	p.schema, err = createSchema(ctx, o.DatabaseURL, product.Slug+"_restart_check_"+rand.Text())
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	p.databaseURL = p.schema.url
	return p, nil
}

// settings is the environment of the servers. What is not in it stays as it is
// for this process; the .env file of another folder is not read. Sessions have a
// short life, so that those left in Redis by a killed check end by themselves.
// Stores have a long time to answer: a busy machine is no reason to fail.
func (p *place) settings() []string {
	return []string{
		"HOST=127.0.0.1", "PORT=0", "BASE_URL=", "TRUSTED_PROXIES=",
		"METRICS_ADDR=127.0.0.1:0",
		"DATA_DIR=.data", "DATABASE_URL=" + p.databaseURL,
		"SESSION_STORE=" + p.store, "REDIS_URL=" + p.redisURL,
		"DATABASE_TIMEOUT=10s", "REDIS_TIMEOUT=10s", "REDIS_CONNECT_TIMEOUT=10s",
		"SESSION_IDLE_TIMEOUT=1h", "SESSION_LIFETIME=1h", "SESSION_REMEMBER_LIFETIME=1h",
		"SHUTDOWN_TIMEOUT=10s", "PASSWORD_MIN_LENGTH=15",
		"LOG_LEVEL=warn", "LOG_FORMAT=text",
	}
}

// client sends requests that count as this place's: the sessions they start
// are remembered, to be removed later.
func (p *place) client() *http.Client {
	return &http.Client{
		Transport:     &noting{place: p, inner: &http.Transport{MaxIdleConnsPerHost: parallel}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       requestLimit,
	}
}

// noting is the transport of such a client.
type noting struct {
	place *place
	inner *http.Transport
}

// RoundTrip implements [http.RoundTripper].
func (n *noting) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := n.inner.RoundTrip(r)
	if err == nil {
		n.place.note(response.Cookies())
	}
	return response, err
}

// sessionCookie is the session cookie's name on http.
const sessionCookie = product.SessionCookie

func (p *place) note(cookies []*http.Cookie) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, cookie := range cookies {
		if cookie.Name == sessionCookie && cookie.Value != "" {
			p.tokens = append(p.tokens, cookie.Value)
		}
	}
}

// size is what the place's store takes, in bytes. No server may be running.
func (p *place) size(ctx context.Context) (int64, error) {
	switch {
	case p.store == "redis" && p.redisURL != "":
		return usedMemory(ctx, p.redisURL)
	case p.store == "database" && p.schema != nil:
		return p.schema.size(ctx)
	default:
		return folderSize(ctx, p.folder)
	}
}

// clear removes everything that the trial has left. No server may be running.
// It does so even when ctx has ended.
func (p *place) clear(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanLimit)
	defer cancel()
	var failed []error
	if p.store == "redis" && p.redisURL != "" {
		failed = append(failed, removeSessions(ctx, p.redisURL, p.tokens))
	}
	if p.schema != nil {
		failed = append(failed, p.schema.drop(ctx))
	}
	failed = append(failed, os.RemoveAll(p.folder))
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("clean up: %w", err)
	}
	return nil
}
