package embeddedredis

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidwall/redcon"
)

// client is one connection and what is known of it.
type client struct {
	server *Server
	conn   net.Conn
	box    *outbox // what is sent goes through it; nil: straight to conn
	id     int64
	since  time.Time
	out    []byte // replies that are not sent yet

	// A transaction between MULTI and EXEC.
	inMulti bool
	refused bool // one of its commands was
	queue   []call

	leaving  bool // after QUIT
	watching atomic.Bool
	lastAt   atomic.Int64 // UnixNano of the last command
	last     atomic.Pointer[command]

	mu                     sync.Mutex // what CLIENT LIST of others reads
	name, library, version string
}

// call is a command with its arguments, the name among them.
type call struct {
	*command
	args [][]byte
}

// serve answers commands until the connection ends.
func (c *client) serve() {
	defer c.server.dismiss(c)
	defer c.conn.Close()
	defer c.end()
	reader := redcon.NewReader(c.conn)
	for !c.leaving {
		// What the client sent in one piece is answered in one.
		commands, err := reader.ReadCommands()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				// Not RESP: Redis says so and hangs up. To a connection that
				// broke this is sent in vain.
				c.out = redcon.AppendError(c.out, "ERR "+err.Error())
				_ = c.flush()
			}
			return
		}
		for _, command := range commands {
			if c.leaving {
				break
			}
			c.do(command.Args)
		}
		if err := c.flush(); err != nil {
			return
		}
	}
}

func (c *client) end() {
	if c.watching.Load() {
		c.server.monitors.remove(c)
	}
	if c.box != nil {
		c.box.end()
	}
}

// flush sends the replies. The errors of an outbox end the connection.
func (c *client) flush() error {
	const kept = 64 << 10 // bytes; a larger buffer is let go
	var err error
	if c.box != nil {
		c.box.put(c.out)
	} else {
		_, err = c.conn.Write(c.out)
	}
	if c.out = c.out[:0]; cap(c.out) > kept {
		c.out = nil
	}
	return err
}

// do answers one command.
func (c *client) do(args [][]byte) {
	s := c.server
	s.counts.commands.Add(1)
	command, err := s.find(args)
	if err == nil && c.watching.Load() && command.flags&keyspace != 0 {
		err = reply("ERR Replica can't interact with the keyspace") // what Redis calls a client that monitors
	}
	if err == nil && c.inMulti && command.flags&notInMulti != 0 {
		err = reply("ERR Command not allowed inside a transaction")
	}
	if err != nil {
		c.refused = c.inMulti
		c.fail(err)
		return
	}
	c.last.Store(command)
	c.lastAt.Store(time.Now().UnixNano())
	if c.inMulti && command.flags&atOnce == 0 {
		c.queue = append(c.queue, call{command, args})
		c.status("QUEUED")
		return
	}
	c.run(s.store, call{command, args})
}

// run carries a command out. A command answers only when it has succeeded.
func (c *client) run(db store, do call) {
	switch {
	case do.flags&unseen != 0:
	case do.flags&secret != 0:
		c.server.monitors.feed(c, hidden(do.args))
	default:
		c.server.monitors.feed(c, do.args)
	}
	if err := do.answer(c, db, do.args[1:]); err != nil {
		c.fail(err)
	}
}

func multi(c *client, _ store, _ [][]byte) error {
	if c.inMulti {
		return reply("ERR MULTI calls can not be nested")
	}
	c.inMulti = true
	c.status("OK")
	return nil
}

func discard(c *client, _ store, _ [][]byte) error {
	if !c.inMulti {
		return reply("ERR DISCARD without MULTI")
	}
	c.endMulti()
	c.status("OK")
	return nil
}

func (c *client) endMulti() { c.inMulti, c.refused, c.queue = false, false, nil }

// exec carries out the transaction. As in Redis a command that fails does not
// undo the others; where the data cannot be stored, none of them was done.
func exec(c *client, db store, args [][]byte) error {
	if !c.inMulti {
		return reply("ERR EXEC without MULTI")
	}
	queue, refused := c.queue, c.refused
	c.endMulti()
	if refused {
		return reply("EXECABORT Transaction discarded because of previous errors.")
	}
	before := len(c.out)
	err := db.update(func(db store) error {
		c.array(len(queue))
		for _, do := range queue {
			c.run(db, do)
		}
		return nil
	})
	if err != nil {
		c.out = c.out[:before]
		return err
	}
	// Redis, too, shows EXEC after what it did.
	c.server.monitors.feed(c, [][]byte{[]byte("EXEC")})
	return nil
}

func (c *client) status(s string)  { c.out = redcon.AppendString(c.out, s) }
func (c *client) integer(n int64)  { c.out = redcon.AppendInt(c.out, n) }
func (c *client) bulk(b []byte)    { c.out = redcon.AppendBulk(c.out, b) }
func (c *client) text(s string)    { c.out = redcon.AppendBulkString(c.out, s) }
func (c *client) null()            { c.out = redcon.AppendNull(c.out) }
func (c *client) array(length int) { c.out = redcon.AppendArray(c.out, length) }

func (c *client) texts(all ...string) {
	c.array(len(all))
	for _, s := range all {
		c.text(s)
	}
}

// fail answers with an error. One that is not for the client is logged as well.
func (c *client) fail(err error) {
	err = translated(err)
	var known reply
	if !errors.As(err, &known) {
		c.server.log.Error("embedded Redis", "cause", err)
		known = reply("ERR " + err.Error())
	}
	c.out = redcon.AppendError(c.out, string(known))
}

// address is the client's in the words of CLIENT LIST, where Redis gives the
// socket's path and port 0; a connection inside the process has no path.
func (c *client) address() string { return c.server.socket + ":0" }

// monitored is the client's address in the words of MONITOR.
func (c *client) monitored() string { return "unix:" + c.server.socket }

// describe is the client's line in CLIENT LIST: those fields of Redis that have
// a meaning here.
func (c *client) describe() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	flags, command := "U", "NULL"
	if c.watching.Load() {
		flags = "OU"
	}
	if last := c.last.Load(); last != nil {
		command = last.name
	}
	idle := now.Sub(time.Unix(0, c.lastAt.Load()))
	return fmt.Sprintf("id=%d addr=%s laddr=%[2]s name=%s age=%d idle=%d flags=%s db=0 cmd=%s user=default lib-name=%s lib-ver=%s resp=2",
		c.id, c.address(), c.name, int(now.Sub(c.since).Seconds()), int(idle.Seconds()), flags, command, c.library, c.version)
}

// connected lists the clients by age.
func (s *Server) connected() []*client {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*client, 0, len(s.clients))
	for _, c := range s.clients {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *client) int { return int(a.id - b.id) })
	return all
}

// is compares an option or a subcommand without regard to case.
func is(arg []byte, word string) bool { return strings.EqualFold(string(arg), word) }
