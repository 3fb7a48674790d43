package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/gomodule/redigo/redis"
)

// serveLimit is the least a server can do that knows its sender from Redis: one
// GET through redigo, and then a page made beforehand, in net/http and nothing
// else.
func serveLimit(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("limit", flag.ContinueOnError)
	address := flags.String("redis", "", "URL of Redis")
	key := flags.String("key", "", "key to get")
	answer := flags.String("answer", "", "file with the whole answer, as it was on the wire")
	if err := flags.Parse(args); err != nil {
		return err
	}
	header, body, err := readAnswer(*answer)
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	pool := newPool(*address)
	defer pool.Close()
	return serveHTTP(ctx, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn := pool.Get()
		stored, err := redis.Bytes(conn.Do("GET", *key))
		_ = conn.Close() // gives it back; what went wrong is in err
		if err != nil || len(stored) == 0 {
			http.Error(w, "no session", http.StatusServiceUnavailable)
			return
		}
		maps.Copy(w.Header(), header)
		_, _ = w.Write(body)
	}))
}

// newPool has the size and the time limits that Holdfast's has by default.
func newPool(url string) *redis.Pool {
	const limit = 500 * time.Millisecond
	return &redis.Pool{
		MaxIdle:   64,
		MaxActive: 64,
		Wait:      true,
		Dial: func() (redis.Conn, error) {
			return redis.DialURL(url, redis.DialConnectTimeout(limit), redis.DialReadTimeout(limit), redis.DialWriteTimeout(limit))
		},
	}
}

// readAnswer takes apart an answer, without the date: net/http writes one.
func readAnswer(path string) (http.Header, []byte, error) {
	wire, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(wire)), nil)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	response.Header.Del("Date")
	return response.Header, body, err
}

// serveHTTP says on standard output where it listens, and serves until ctx ends.
func serveHTTP(ctx context.Context, handler http.Handler) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	fmt.Printf("http://%s\n", listener.Addr())
	if err := server.Serve(listener); err != http.ErrServerClosed {
		return err
	}
	return nil
}
