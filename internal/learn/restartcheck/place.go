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

// cleanLimit bounds the removal of what was left in a real service.
const cleanLimit = 30 * time.Second

// place is where one trial keeps everything: a folder, a separate schema in
// PostgreSQL where that is used, and in Redis the sessions it has made.
type place struct {
	store       string
	folder      string
	redisURL    string
	shared      bool   // other servers use that Redis too
	databaseURL string // with the schema; "" for SQLite in folder
	schema      *schema
	note        note

	mu     sync.Mutex
	tokens []string // of all sessions the servers have handed out
}

func openPlace(ctx context.Context, o Options, store string) (*place, error) {
	name := rand.Text()[:10] // the path of a socket below it has to be short
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
		// A Redis that cannot be reached is shown by the server's own words.
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

// start starts a server on the place's stores, with extra in its environment.
// Sessions have a short life, so that those left in Redis by a killed check end
// by themselves. Stores have a long time to answer: a busy machine is no reason
// to fail.
func (p *place) start(ctx context.Context, program string, extra ...string) (*launch.Server, error) {
	settings := []string{
		"HOST=127.0.0.1", "PORT=0", "METRICS_ADDR=127.0.0.1:0",
		"DATA_DIR=.data", "DATABASE_URL=" + p.databaseURL,
		"SESSION_STORE=" + p.store, "REDIS_URL=" + p.redisURL,
		"DATABASE_TIMEOUT=10s", "REDIS_TIMEOUT=10s", "REDIS_CONNECT_TIMEOUT=10s",
		"SESSION_IDLE_TIMEOUT=1h", "SESSION_LIFETIME=1h", "SESSION_REMEMBER_LIFETIME=1h",
		"SHUTDOWN_TIMEOUT=10s", "LOG_LEVEL=warn", "LOG_FORMAT=text",
		"LEARN=off", // its pages keep recent requests in memory, up to a bound
	}
	return launch.Start(ctx, launch.Command{
		Program: program, Args: []string{"serve", "--stop-with-stdin"}, Dir: p.folder, Until: "metrics",
		Env: slices.Concat(launch.Inherited(), settings, extra),
	})
}

// remember keeps a token that a server has handed out.
func (p *place) remember(token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tokens = append(p.tokens, token)
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
