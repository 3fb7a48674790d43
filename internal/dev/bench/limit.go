package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/pipeline"
)

// serveLimit does the least that a server can do to recognise its sender with Redis:
// one GET through redigo, on a connection from a pool or on one connection for all
// requests, and then a prepared page, with net/http and nothing else.
func serveLimit(ctx context.Context, file string) error {
	j, err := readJob(file)
	if err != nil {
		return err
	}
	do := pooled(newPool(j.Redis))
	if j.Pipelined {
		do = newPipeline(j.Redis).Do
	}
	return serveHTTP(ctx, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		stored, err := redis.Bytes(do("GET", j.Key))
		if err != nil || len(stored) == 0 {
			http.Error(w, "no session", http.StatusServiceUnavailable)
			return
		}
		maps.Copy(w.Header(), j.Header)
		_, _ = w.Write(j.Body)
	}))
}

// redisLimit is Holdfast's default time limit.
const redisLimit = 500 * time.Millisecond

// pooled sends each command over a connection taken from the pool.
func pooled(pool *redis.Pool) func(command string, args ...any) (any, error) {
	return func(command string, args ...any) (any, error) {
		conn := pool.Get()
		reply, err := conn.Do(command, args...)
		_ = conn.Close() // returns it to the pool; err has any failure
		return reply, err
	}
}

// newPipeline returns a client that sends all commands over one connection.
func newPipeline(url string) *pipeline.Client {
	return pipeline.New(pipeline.Options{
		Dial:           func(ctx context.Context) (redis.Conn, error) { return redis.DialURLContext(ctx, url) },
		ConnectTimeout: redisLimit,
		Timeout:        redisLimit,
	})
}

// newPool returns a pool with as many connections as wrk has by default.
func newPool(url string) *redis.Pool {
	return &redis.Pool{
		MaxIdle:   64,
		MaxActive: 64,
		Wait:      true,
		Dial: func() (redis.Conn, error) {
			return redis.DialURL(url, redis.DialConnectTimeout(redisLimit), redis.DialReadTimeout(redisLimit), redis.DialWriteTimeout(redisLimit))
		},
	}
}

// job says what one of the other servers has to do.
type job struct {
	Redis string // its URL
	// Header and Body are a response of Holdfast.
	Header http.Header
	Body   []byte

	Key       string        // the limit: the key to get
	Pipelined bool          // the limit: one connection for all requests
	Idle      time.Duration // the typical set-up: IdleTimeout of scs
}

// readJob reads a job and removes the date of the response, because net/http writes one.
func readJob(path string) (j job, err error) {
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &j)
	}
	if err != nil {
		return job{}, fmt.Errorf("read job: %w", err)
	}
	j.Header.Del("Date")
	return j, nil
}

// serveHTTP announces its address as Holdfast does, and serves until ctx is cancelled
// or standard input ends.
func serveHTTP(ctx context.Context, handler http.Handler) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends with the measuring process
		_ = server.Close()
	}()
	fmt.Printf("  url       http://%s\n", listener.Addr())
	if err := server.Serve(listener); err != http.ErrServerClosed {
		return err
	}
	return nil
}
