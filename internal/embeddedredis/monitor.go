package embeddedredis

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// monitors are the clients that said MONITOR.
type monitors struct {
	count atomic.Int32 // so that commands cost nothing while there is none

	mu  sync.Mutex
	all map[*client]struct{}
}

func (m *monitors) add(c *client) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all == nil {
		m.all = map[*client]struct{}{}
	}
	m.all[c] = struct{}{}
	m.count.Store(int32(len(m.all)))
}

func (m *monitors) remove(c *client) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.all, c)
	m.count.Store(int32(len(m.all)))
}

// feed tells the monitors of a command that was carried out, in the form of
// Redis: seconds and microseconds, database, client, arguments.
func (m *monitors) feed(c *client, args [][]byte) {
	if m.count.Load() == 0 {
		return
	}
	now := time.Now()
	line := fmt.Appendf(nil, "+%d.%06d [0 %s]", now.Unix(), now.Nanosecond()/1000, c.monitored())
	for _, arg := range args {
		line = appendQuoted(append(line, ' '), arg)
	}
	line = append(line, "\r\n"...)
	m.mu.Lock()
	defer m.mu.Unlock()
	for monitor := range m.all {
		monitor.box.put(line)
	}
}

// appendQuoted quotes as sdscatrepr of Redis does.
func appendQuoted(line, arg []byte) []byte {
	line = append(line, '"')
	for _, b := range arg {
		switch b {
		case '\\', '"':
			line = append(line, '\\', b)
		case '\n':
			line = append(line, `\n`...)
		case '\r':
			line = append(line, `\r`...)
		case '\t':
			line = append(line, `\t`...)
		case '\a':
			line = append(line, `\a`...)
		case '\b':
			line = append(line, `\b`...)
		default:
			if b < ' ' || b > '~' {
				line = fmt.Appendf(line, `\x%02x`, b)
			} else {
				line = append(line, b)
			}
		}
	}
	return append(line, '"')
}

// monitor answers MONITOR: from now on everything for this client goes through
// an outbox, replies and lines in the order in which they came to be.
func monitor(c *client, _ store, _ [][]byte) error {
	if c.watching.Load() {
		return nil // Redis answers a second MONITOR with nothing
	}
	c.status("OK")
	if c.box == nil {
		c.box = newOutbox(c.conn, monitorLimit)
	}
	c.flush()
	c.watching.Store(true)
	c.server.monitors.add(c)
	return nil
}

// hidden returns the arguments of AUTH or HELLO as monitors see them.
func hidden(args [][]byte) [][]byte {
	shown := slices.Clone(args)
	for i, arg := range args {
		if !is(arg, "auth") {
			continue
		}
		for j := i + 1; j < min(i+3, len(args)); j++ {
			shown[j] = []byte("(redacted)")
		}
		break
	}
	return shown
}
