package restartcheck

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast/internal/launch"
	"holdfast/internal/product"
)

// cleanLimit bounds the clean-up of a real service.
const cleanLimit = 30 * time.Second

// place is where one trial keeps everything: a directory, a separate schema in
// PostgreSQL if that is used, and the sessions it created in Redis.
type place struct {
	store       string
	folder      string
	redisURL    string
	shared      bool   // other servers use that Redis too
	databaseURL string // with the schema; "" for SQLite in the directory
	schema      *schema
	note        note

	mu     sync.Mutex
	tokens []string // of all sessions that the servers created
}

func openPlace(ctx context.Context, o Options, store string) (*place, error) {
	name := rand.Text()[:10] // short, because the path of a socket below it has to be
	p := &place{store: store, redisURL: o.RedisURL}
	p.folder = filepath.Join(os.TempDir(), product.Slug+"-restart-check-"+name)
	p.note.Folder = p.folder
	if o.DatabaseURL != "" {
		var err error
		if p.schema, err = openSchema(o.DatabaseURL, strings.ToLower(product.Slug+"_restart_check_"+name)); err != nil {
			return nil, err
		}
		p.databaseURL, p.note.Schema = p.schema.url, p.schema.name
	}
	if store == "redis" && o.RedisURL != "" {
		// If Redis cannot be reached, the server's own error says so.
		p.shared, _ = hasHeartbeat(ctx, o.RedisURL)
	}
	if err := p.note.keep(o.Notes, product.Slug+"-restart-check-"+name); err != nil {
		return nil, err
	}
	err := os.Mkdir(p.folder, 0o700)
	if err == nil && p.schema != nil {
		err = p.schema.create(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, p.clear(ctx))
	}
	return p, nil
}

// start starts a server on the stores of the place, with extra in its environment.
// Sessions have a short lifetime, so that those left in Redis by a killed check soon
// expire. Timeouts of stores are long, so that a check does not fail on a busy
// machine.
func (p *place) start(ctx context.Context, program string, extra ...string) (*launch.Server, error) {
	settings := []string{
		"HOST=127.0.0.1", "PORT=0", "METRICS_ADDR=127.0.0.1:0",
		"DATA_DIR=.data", "DATABASE_URL=" + p.databaseURL,
		"SESSION_STORE=" + p.store, "REDIS_URL=" + p.redisURL,
		"DATABASE_TIMEOUT=10s", "REDIS_TIMEOUT=10s", "REDIS_CONNECT_TIMEOUT=10s",
		"SESSION_IDLE_TIMEOUT=1h", "SESSION_LIFETIME=1h", "SESSION_REMEMBER_LIFETIME=1h",
		"THROTTLE=off", // it fills a store from one address
		"SHUTDOWN_TIMEOUT=10s", "LOG_LEVEL=warn", "LOG_FORMAT=text",
		"LEARN=off", // its pages would keep recent requests in memory
	}
	return launch.Start(ctx, launch.Command{
		Program: program, Args: []string{"serve", "--stop-with-stdin"}, Dir: p.folder, Until: "metrics",
		Env: slices.Concat(launch.Inherited(), settings, extra),
	})
}

// remember keeps the token of a session that a server created.
func (p *place) remember(token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tokens = append(p.tokens, token)
}

// size returns the size of the store in bytes. No server may be running.
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

// clear deletes everything that the trial left, even if ctx has ended. No server may
// be running.
func (p *place) clear(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanLimit)
	defer cancel()
	var failed []error
	if p.store == "redis" && p.redisURL != "" {
		failed = append(failed, removeSessions(ctx, p.redisURL, p.tokens, !p.shared))
	}
	if p.schema != nil {
		failed = append(failed, p.schema.drop(ctx))
	}
	failed = append(failed, os.RemoveAll(p.folder))
	err := errors.Join(failed...)
	if err == nil {
		err = p.note.drop()
	} else {
		err = errors.Join(err, p.note.lock.Unlock()) // for the next one to sweep
	}
	if err != nil {
		return fmt.Errorf("clean up: %w", err)
	}
	return nil
}
