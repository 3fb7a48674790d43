package embeddedredis_test

import (
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gomodule/redigo/redis"
	"github.com/nalgeon/redka"
	"github.com/nalgeon/redka/redsrv"

	"holdfast/internal/dev/require"
)

// BenchmarkCommands compares this server with Redka's own, with the same commands on
// the same kind of socket: one command at a time, and 64 in one write.
func BenchmarkCommands(b *testing.B) {
	const together = 64
	value := strings.Repeat("v", 300) // bytes, about the size of a session record
	for _, server := range []struct {
		name string
		dial func(*testing.B) redis.Conn
	}{
		{"Redka", dialRedka},
		{"ours", func(b *testing.B) redis.Conn { return dial(b, open(b, b.TempDir())) }},
	} {
		for _, command := range []struct {
			name string
			args []any
		}{
			{"PING", nil},
			{"GET", []any{"key"}},
			{"MGET", []any{"key", "other", "nothing"}},
			{"SET", []any{"key", value, "PX", 60_000}},
			{"DEL", []any{"nothing"}},
		} {
			b.Run(command.name+"/alone/"+server.name, func(b *testing.B) {
				conn := server.dial(b)
				do(b, conn, "SET", "key", value)
				for b.Loop() {
					do(b, conn, command.name, command.args...)
				}
			})
			b.Run(command.name+"/together/"+server.name, func(b *testing.B) {
				conn := server.dial(b)
				do(b, conn, "SET", "key", value)
				for b.Loop() {
					for range together {
						require.NoError(b, conn.Send(command.name, command.args...))
					}
					do(b, conn, "")
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*together), "ns/command")
			})
		}
	}
}

func dialRedka(b *testing.B) redis.Conn {
	b.Helper()
	dir := b.TempDir()
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	db, err := redka.Open(filepath.Join(dir, "redis.db"), &redka.Options{DriverName: "sqlite", Logger: quiet})
	require.NoError(b, err)
	socket := filepath.Join(dir, "s")
	server := redsrv.New("unix", socket, db)
	ready := make(chan error, 1)
	go server.Start(ready)
	require.NoError(b, <-ready)
	b.Cleanup(func() { server.Stop() })
	conn, err := redis.Dial("unix", socket)
	require.NoError(b, err)
	b.Cleanup(func() { conn.Close() })
	return conn
}
