package embeddedredis

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nalgeon/redka"
	"github.com/tidwall/redcon"
)

// This file has the commands that inspect the server: INFO, COMMAND, MONITOR.

// info implements INFO with the fields of Redis that apply here.
func info(s *Server, _ *client, args [][]byte) any {
	sections := []struct {
		name string
		tell func(*Server) (string, error)
	}{
		{"Server", infoServer},
		{"Clients", func(s *Server) (string, error) { return fmt.Sprintf("connected_clients:%d\n", s.clients.Load()), nil }},
		{"Memory", infoMemory},
		{"Persistence", infoPersistence},
		{"Stats", func(s *Server) (string, error) {
			return fmt.Sprintf("total_commands_processed:%d\n", s.commands.Load()), nil
		}},
		{"Replication", func(*Server) (string, error) { return "role:master\nconnected_slaves:0\n", nil }},
		{"Keyspace", infoKeyspace},
	}
	var all []string
	for _, section := range sections {
		if len(args) > 0 && !slices.ContainsFunc(args, func(arg []byte) bool {
			return is(arg, section.name) || is(arg, "default") || is(arg, "all") || is(arg, "everything")
		}) {
			continue
		}
		text, err := section.tell(s)
		if err != nil {
			return err
		}
		all = append(all, "# "+section.name+"\n"+text)
	}
	return strings.ReplaceAll(strings.Join(all, "\n"), "\n", "\r\n")
}

func infoServer(s *Server) (string, error) {
	up := int(time.Since(s.started).Seconds())
	return fmt.Sprintf("redis_version:%s\nredis_mode:standalone\nserver_name:redka\nembedded_in:%s\nos:%s %s\nprocess_id:%d\ntcp_port:0\nuptime_in_seconds:%d\nuptime_in_days:%d\n",
		version, s.Product, runtime.GOOS, runtime.GOARCH, os.Getpid(), up, up/86400), nil
}

// infoMemory reports the memory of the whole process, which includes the server.
func infoMemory(*Server) (string, error) {
	used := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/total:bytes"}}
	metrics.Read(used)
	heap, total := used[0].Value.Uint64(), used[1].Value.Uint64()
	return fmt.Sprintf("used_memory:%d\nused_memory_human:%.2fM\nused_memory_rss:%d\nmaxmemory:0\nmaxmemory_policy:noeviction\n",
		heap, float64(heap)/(1<<20), total), nil
}

func infoPersistence(s *Server) (string, error) {
	file, size := filepath.Join(s.Dir, dataFile), int64(0)
	for _, path := range []string{file, file + "-wal"} {
		if found, err := os.Stat(path); err == nil {
			size += found.Size()
		}
	}
	return fmt.Sprintf("loading:0\naof_enabled:0\nsqlite_file:%s\nsqlite_file_bytes:%d\n", file, size), nil
}

func infoKeyspace(s *Server) (string, error) {
	const page = 1000 // keys read at a time
	var keys, expires, left int64
	now := time.Now().UnixMilli()
	for cursor := 0; ; {
		found, err := s.db.Key().Scan(cursor, "*", redka.TypeAny, page)
		if err != nil {
			return "", err
		}
		for _, k := range found.Keys {
			keys++
			if k.ETime != nil {
				expires++
				left += *k.ETime - now
			}
		}
		if cursor = found.Cursor; len(found.Keys) == 0 {
			break
		}
	}
	if keys == 0 {
		return "", nil
	}
	return fmt.Sprintf("db0:keys=%d,expires=%d,avg_ttl=%d\n", keys, expires, left/max(expires, 1)), nil
}

// describeCommands implements COMMAND, COMMAND COUNT and COMMAND LIST. redis-cli sends
// COMMAND DOCS when it starts; without a result it shows no hints.
func describeCommands(s *Server, _ *client, args [][]byte) any {
	all := slices.Sorted(maps.Keys(s.table))
	switch {
	case len(args) == 1 && is(args[0], "count"):
		return redcon.SimpleInt(len(all))
	case len(args) == 1 && is(args[0], "list"):
		return all
	case len(args) > 0 && is(args[0], "docs"):
		return []any{}
	case len(args) > 0:
		return s.unknown([]byte("COMMAND"), args[0])
	}
	details := make([]any, len(all))
	for i, name := range all {
		flag := "readonly"
		if s.table[name].writes {
			flag = "write"
		}
		details[i] = []any{name, redcon.SimpleInt(s.table[name].arity), []any{redcon.SimpleString(flag)}, redcon.SimpleInt(0), redcon.SimpleInt(0), redcon.SimpleInt(0)}
	}
	return details
}

// monitors are the connections that sent MONITOR.
type monitors struct {
	count atomic.Int32 // makes commands cost nothing while there are no monitors

	mu     sync.Mutex
	all    map[*monitor]struct{}
	closed bool
}

// monitor is one of them.
type monitor struct {
	conn    redcon.DetachedConn
	lines   chan []byte // closed when the monitor is removed
	waiting atomic.Int64
}

// A client that monitors and does not read loses its connection when this many
// lines or bytes wait for it: other clients never wait for it.
const (
	monitorLines = 4096
	monitorBytes = 1 << 20
)

// startMonitor sends the client every command that is executed from now on.
func startMonitor(s *Server, c *client, _ [][]byte) any {
	m := &monitor{conn: c.Detach(), lines: make(chan []byte, monitorLines)}
	m.lines <- redcon.AppendOK(nil) // a client that has read this misses nothing
	if !s.monitors.add(m) {
		m.conn.Close()
		return nil
	}
	s.working.Go(func() {
		for line := range m.lines {
			m.conn.WriteRaw(line)
			if len(m.lines) == 0 && m.conn.Flush() != nil {
				break
			}
			m.waiting.Add(-int64(len(line)))
		}
		s.monitors.remove(m)
	})
	s.working.Go(func() { // until the client sends QUIT or hangs up
		for {
			cmd, err := m.conn.ReadCommand()
			if err != nil || is(cmd.Args[0], "quit") {
				s.monitors.remove(m)
				return
			}
		}
	})
	return nil
}

func (all *monitors) add(m *monitor) bool {
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.closed {
		return false
	}
	all.all[m] = struct{}{}
	all.count.Store(int32(len(all.all)))
	return true
}

// remove disconnects a monitor. A second call does nothing.
func (all *monitors) remove(m *monitor) {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.end(m)
}

func (all *monitors) end(m *monitor) {
	if _, there := all.all[m]; there {
		delete(all.all, m)
		all.count.Store(int32(len(all.all)))
		close(m.lines)
		m.conn.NetConn().Close()
	}
}

func (all *monitors) closeAll() {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.closed = true
	for m := range all.all {
		all.end(m)
	}
}

// show sends a command to the monitors in the format of Redis: seconds and
// microseconds, database, client, arguments.
func (all *monitors) show(socket string, args [][]byte) {
	if all.count.Load() == 0 {
		return
	}
	now := time.Now()
	line := fmt.Appendf(nil, "+%d.%06d [0 unix:%s]", now.Unix(), now.Nanosecond()/1000, socket)
	for _, arg := range args {
		line = appendQuoted(append(line, ' '), arg)
	}
	line = append(line, "\r\n"...)
	all.mu.Lock()
	defer all.mu.Unlock()
	for m := range all.all {
		if m.waiting.Add(int64(len(line))) > max(monitorBytes, int64(len(line))) || len(m.lines) == cap(m.lines) {
			all.end(m)
		} else {
			m.lines <- line
		}
	}
}

// appendQuoted quotes as Redis's sdscatrepr does.
func appendQuoted(line, arg []byte) []byte {
	line = append(line, '"')
	for _, b := range arg {
		if at := strings.IndexByte("\\\"\n\r\t\a\b", b); at >= 0 {
			line = append(line, '\\', `\"nrtab`[at])
		} else if b < ' ' || b > '~' {
			line = fmt.Appendf(line, `\x%02x`, b)
		} else {
			line = append(line, b)
		}
	}
	return append(line, '"')
}
