package embeddedredis

import (
	"net"
	"sync"
)

const (
	// monitorLimit is how many bytes may wait for a client that monitors and
	// does not read. What does not fit ends its connection: other clients never
	// wait for it.
	monitorLimit = 1 << 20

	// pipeLimit is the same for a connection inside the process. Its own buffer
	// holds nothing, so that without an outbox a client that writes many
	// commands before it reads would wait for the server and the server for it.
	pipeLimit = 64 << 20
)

// outbox writes to a connection in the background.
type outbox struct {
	conn  net.Conn
	limit int // bytes that may wait, if they came in more than one piece

	mu      sync.Mutex
	news    sync.Cond
	waiting []byte
	ended   bool
	written chan struct{} // closed when everything is written, or cannot be
}

func newOutbox(conn net.Conn, limit int) *outbox {
	b := &outbox{conn: conn, limit: limit, written: make(chan struct{})}
	b.news.L = &b.mu
	go b.write()
	return b
}

// put adds bytes to what is to be written, and closes the connection when too
// much waits already.
func (b *outbox) put(p []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return
	}
	if len(b.waiting) > 0 && len(b.waiting)+len(p) > b.limit {
		b.ended, b.waiting = true, nil
		b.conn.Close()
	} else {
		b.waiting = append(b.waiting, p...)
	}
	b.news.Signal()
}

// end lets what waits be written, and returns when that is done.
func (b *outbox) end() {
	b.mu.Lock()
	b.ended = true
	b.news.Signal()
	b.mu.Unlock()
	<-b.written
}

func (b *outbox) write() {
	defer close(b.written)
	var taken []byte
	for {
		b.mu.Lock()
		for len(b.waiting) == 0 && !b.ended {
			b.news.Wait()
		}
		taken, b.waiting = b.waiting, taken[:0]
		b.mu.Unlock()
		if len(taken) == 0 {
			return
		}
		if _, err := b.conn.Write(taken); err != nil {
			b.conn.Close()
			b.mu.Lock()
			b.ended, b.waiting = true, nil
			b.mu.Unlock()
			return
		}
	}
}
