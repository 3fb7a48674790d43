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

	mu                        sync.Mutex // what CLIENT LIST of others reads
	name, libName, libVersion string
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
		for len(commands) > 0 && !c.leaving {
			calls, written := c.together(commands)
			switch {
			case written > 1: // most of a write is its transaction: one for all
				c.runTogether(calls)
			case len(calls) > 0:
				for _, do := range calls {
					c.runAlone(do)
				}
			default:
				c.do(commands[0].Args)
			}
			commands = commands[max(len(calls), 1):]
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
	command, no := c.server.find(args)
	if no == "" && c.watching.Load() && command.flags&keyspace != 0 {
		no = "ERR Replica can't interact with the keyspace" // what Redis calls a client that monitors
	}
	if no == "" && c.inMulti && command.flags&notInMulti != 0 {
		no = "ERR Command not allowed inside a transaction"
	}
	switch {
	case no != "":
		c.server.counts.commands.Add(1)
		c.refused = c.inMulti
		c.refuse(no)
	case c.inMulti && command.flags&atOnce == 0:
		c.queue = append(c.queue, call{command, args})
		c.status("QUEUED")
	default:
		c.runAlone(call{command, args})
	}
}

// note keeps for CLIENT LIST what the client does.
func (c *client) note(command *command) {
	c.last.Store(command)
	c.lastAt.Store(time.Now().UnixNano())
}

// together returns the commands at the beginning that work on keys alone, and
// how many of them write.
func (c *client) together(commands []redcon.Command) (calls []call, written int) {
	const most = 32 // others wait meanwhile
	if len(commands) == 1 || c.inMulti || c.watching.Load() {
		return nil, 0
	}
	for _, next := range commands[:min(len(commands), most)] {
		command, no := c.server.find(next.Args)
		if no != "" || command.flags&keyspace == 0 || command.flags&notInMulti != 0 {
			break
		}
		if command.flags&writes != 0 {
			written++
		}
		calls = append(calls, call{command, next.Args})
	}
	return calls, written
}

// runTogether carries out what the client sent in one piece in one transaction
// of SQLite. Where it cannot be stored, nothing of it was done.
func (c *client) runTogether(calls []call) {
	c.server.counts.commands.Add(int64(len(calls)))
	c.note(calls[len(calls)-1].command)
	before := len(c.out)
	if err := c.runAll(calls); err != nil {
		c.out = c.out[:before]
		for range calls {
			c.fail(writes, err)
		}
	}
}

func (c *client) runAll(calls []call) error {
	return c.server.store.update(func(db store) error {
		for _, do := range calls {
			if err := c.run(db, do); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *client) runAlone(do call) {
	c.server.counts.commands.Add(1)
	c.note(do.command)
	if err := c.run(c.server.store, do); err != nil {
		c.fail(do.flags, err)
	}
}

// run carries a command out and answers it, unless it returns an error: the
// server's, about which the client can do nothing.
func (c *client) run(db store, do call) error {
	if err := do.answer(c, db, do.args[1:]); err != nil {
		var known reply
		if !errors.As(translated(err), &known) {
			return err
		}
		c.refuse(known)
	}
	if c.watching.Load() {
		_ = c.flush() // the answer stands before the line
	}
	switch {
	case do.flags&unseen != 0:
	case do.flags&secret != 0:
		c.server.monitors.feed(c, hidden(do.args))
	default:
		c.server.monitors.feed(c, do.args)
	}
	return nil
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
func exec(c *client, _ store, _ [][]byte) error {
	if !c.inMulti {
		return reply("ERR EXEC without MULTI")
	}
	queue, refused := c.queue, c.refused
	c.endMulti()
	if refused {
		return reply("EXECABORT Transaction discarded because of previous errors.")
	}
	before := len(c.out)
	c.array(len(queue))
	if err := c.runAll(queue); err != nil {
		c.out = c.out[:before]
		c.fail(writes, err)
		return nil
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

// refuse answers with an error of the client.
func (c *client) refuse(why reply) { c.out = redcon.AppendError(c.out, string(why)) }

// fail answers with an error of the server, and logs it. When something was to
// be stored it has the code of a Redis that cannot write its files.
func (c *client) fail(doing flags, err error) {
	c.server.log.Error("embedded Redis failed", "cause", err)
	code := "ERR "
	if doing&writes != 0 {
		code = "MISCONF "
	}
	c.refuse(reply(code + err.Error()))
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
		c.id, c.address(), c.name, int(now.Sub(c.since).Seconds()), int(idle.Seconds()), flags, command, c.libName, c.libVersion)
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
