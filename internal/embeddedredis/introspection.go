package embeddedredis

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nalgeon/redka"
)

func serverCommands() []command {
	return []command{
		{"command", -1, 0, 0, "server", "2.8.13", "[COUNT | DOCS [name ...] | INFO [name ...] | LIST]", "Tells which commands there are.", commandDetails},
		{"config", -2, unseen, 0, "server", "2.0.0", "GET pattern [pattern ...]", "Tells the settings.", config},
		{"dbsize", 1, reads, 0, "server", "1.0.0", "", "Returns the number of keys.", dbSize},
		{"flushall", -1, writes | notInMulti, 0, "server", "1.0.0", "[ASYNC | SYNC]", "Deletes all keys.", flush},
		{"flushdb", -1, writes | notInMulti, 0, "server", "1.0.0", "[ASYNC | SYNC]", "Deletes all keys.", flush},
		{"info", -1, 0, 0, "server", "1.0.0", "[section ...]", "Tells about the server.", info},
		{"memory", -2, reads, 0, "server", "4.0.0", "USAGE key", "Tells how many bytes a key takes.", memory},
		{"monitor", 1, unseen | notInMulti, 0, "server", "1.0.0", "", "Streams every command that is carried out.", monitor},
		{"role", 1, unseen, 0, "server", "2.8.12", "", "Tells that this server replicates nothing.", role},
		{"time", 1, 0, 0, "server", "2.6.0", "", "Returns the server's time in seconds and microseconds.", serverTime},
	}
}

func dbSize(c *client, db store, _ [][]byte) error {
	n, err := db.key.Len()
	if err != nil {
		return err
	}
	c.integer(int64(n))
	return nil
}

func flush(c *client, _ store, args [][]byte) error {
	if len(args) > 1 || (len(args) == 1 && !is(args[0], "async") && !is(args[0], "sync")) {
		return errSyntax
	}
	if err := c.server.db.Key().DeleteAll(); err != nil {
		return err
	}
	c.status("OK")
	return nil
}

func role(c *client, _ store, _ [][]byte) error {
	c.array(3)
	c.text("master")
	c.integer(0)
	c.array(0)
	return nil
}

func serverTime(c *client, _ store, _ [][]byte) error {
	now := time.Now()
	c.texts(strconv.FormatInt(now.Unix(), 10), strconv.Itoa(now.Nanosecond()/1000))
	return nil
}

// memory counts the bytes of a key and of its string as SQLite keeps them.
func memory(c *client, db store, args [][]byte) error {
	if !is(args[0], "usage") || len(args) < 2 {
		return unknown([]byte("MEMORY"), args[0])
	}
	if len(args) > 2 && (len(args) != 4 || !is(args[2], "samples")) {
		return errSyntax
	}
	value, found, err := db.read(string(args[1]))
	switch {
	case err != nil:
		return err
	case !found:
		c.null()
	default:
		c.integer(int64(len(args[1]) + len(value)))
	}
	return nil
}

// config answers CONFIG GET with those settings of Redis that have a meaning
// here. None can be changed.
func config(c *client, _ store, args [][]byte) error {
	if !is(args[0], "get") {
		return unknown([]byte("CONFIG"), args[0])
	}
	if len(args) < 2 {
		return wrongNumber("config|get")
	}
	settings := [][2]string{
		{"appendonly", "no"},
		{"databases", "1"},
		{"dbfilename", dataFile},
		{"dir", c.server.dir},
		{"maxmemory", "0"},
		{"maxmemory-policy", "noeviction"},
		{"port", "0"},
		{"save", ""},
		{"unixsocket", c.server.socket},
		{"unixsocketperm", "600"},
	}
	var found []string
	for _, setting := range settings {
		if slices.ContainsFunc(args[1:], func(pattern []byte) bool {
			// A pattern that is none matches nothing.
			matches, err := path.Match(strings.ToLower(string(pattern)), setting[0])
			return err == nil && matches
		}) {
			found = append(found, setting[:]...)
		}
	}
	c.texts(found...)
	return nil
}

// info answers INFO with those fields of Redis that have a meaning here, and
// with what Redka is.
func info(c *client, db store, args [][]byte) error {
	sections := []struct {
		name string
		tell func() (string, error)
	}{
		{"Server", c.server.infoServer},
		{"Clients", c.server.infoClients},
		{"Memory", infoMemory},
		{"Persistence", c.server.infoPersistence},
		{"Stats", c.server.infoStats},
		{"Replication", func() (string, error) { return "role:master\nconnected_slaves:0\n", nil }},
		{"Keyspace", func() (string, error) { return infoKeyspace(db) }},
	}
	var told []string
	for _, section := range sections {
		if len(args) > 0 && !slices.ContainsFunc(args, func(arg []byte) bool {
			return is(arg, section.name) || is(arg, "default") || is(arg, "all") || is(arg, "everything")
		}) {
			continue
		}
		text, err := section.tell()
		if err != nil {
			return err
		}
		told = append(told, "# "+section.name+"\n"+text)
	}
	c.text(strings.ReplaceAll(strings.Join(told, "\n"), "\n", "\r\n"))
	return nil
}

func (s *Server) infoServer() (string, error) {
	program, err := os.Executable()
	if err != nil {
		program = "" // Redis, too, leaves it empty when it does not know
	}
	now := time.Now()
	up := now.Sub(s.started)
	return fmt.Sprintf(`redis_version:%s
redis_mode:standalone
server_name:redka
embedded_in:holdfast
os:%s
arch_bits:%d
process_id:%d
tcp_port:0
server_time_usec:%d
uptime_in_seconds:%d
uptime_in_days:%d
executable:%s
config_file:
`, version, runtime.GOOS+" "+runtime.GOARCH, strconv.IntSize, os.Getpid(), now.UnixMicro(), int(up.Seconds()), int(up.Hours()/24), program), nil
}

func (s *Server) infoClients() (string, error) {
	return fmt.Sprintf("connected_clients:%d\nblocked_clients:0\n", len(s.connected())), nil
}

// infoMemory tells of the whole process, of which the server is a part.
func infoMemory() (string, error) {
	used := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/total:bytes"}}
	metrics.Read(used)
	heap, total := used[0].Value.Uint64(), used[1].Value.Uint64()
	return fmt.Sprintf(`used_memory:%d
used_memory_human:%s
used_memory_rss:%d
used_memory_rss_human:%s
maxmemory:0
maxmemory_human:0B
maxmemory_policy:noeviction
`, heap, human(heap), total, human(total)), nil
}

// human writes bytes as Redis does.
func human(n uint64) string {
	for _, unit := range []struct {
		size uint64
		name string
	}{{1 << 30, "G"}, {1 << 20, "M"}, {1 << 10, "K"}} {
		if n >= unit.size {
			return fmt.Sprintf("%.2f%s", float64(n)/float64(unit.size), unit.name)
		}
	}
	return fmt.Sprintf("%dB", n)
}

func (s *Server) infoPersistence() (string, error) {
	size := int64(0)
	for _, name := range []string{dataFile, dataFile + "-wal"} {
		if file, err := os.Stat(filepath.Join(s.dir, name)); err == nil {
			size += file.Size()
		}
	}
	return fmt.Sprintf("loading:0\naof_enabled:0\nsqlite_file:%s\nsqlite_file_bytes:%d\n", filepath.Join(s.dir, dataFile), size), nil
}

func (s *Server) infoStats() (string, error) {
	return fmt.Sprintf("total_connections_received:%d\ntotal_commands_processed:%d\nkeyspace_hits:%d\nkeyspace_misses:%d\n",
		s.counts.connections.Load(), s.counts.commands.Load(), s.counts.hits.Load(), s.counts.misses.Load()), nil
}

func infoKeyspace(db store) (string, error) {
	const page = 1000 // keys read at a time
	var keys, expires, left int64
	now := time.Now().UnixMilli()
	for cursor := 0; ; {
		next, found, err := db.scan(cursor, "*", redka.TypeAny, page)
		if err != nil {
			return "", err
		}
		for _, k := range found {
			keys++
			if k.ETime != nil {
				expires++
				left += *k.ETime - now
			}
		}
		if cursor = next; len(found) == 0 {
			break
		}
	}
	if keys == 0 {
		return "", nil
	}
	return fmt.Sprintf("db0:keys=%d,expires=%d,avg_ttl=%d\n", keys, expires, left/max(expires, 1)), nil
}
