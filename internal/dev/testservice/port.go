package testservice

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// The ports are below those that operating systems use for outgoing connections: Linux
// from 32768, others from 49152.
const (
	firstPort  = 15000
	portBlocks = 170
	blockSize  = 100
)

// ports are the blocks of ports that this process has claimed. Listening on the first
// port of a block claims the others. So a stopped server finds its port still free when
// it starts again, whatever other test processes do meanwhile.
var ports struct {
	sync.Mutex
	claims    []net.Listener
	next, end int // what is left of the latest block
}

// FreePort returns a TCP port of 127.0.0.1 on which nothing listened a moment ago.
// No other call returns it, in this test process or in another.
func FreePort(t testing.TB) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	for range 2 * portBlocks {
		for ports.next < ports.end {
			port := ports.next
			ports.next++
			if listener, err := listen(port); err == nil {
				listener.Close()
				return port
			}
		}
		first := firstPort + blockSize*rand.IntN(portBlocks)
		if claim, err := listen(first); err == nil {
			ports.claims = append(ports.claims, claim)
			ports.next, ports.end = first+1, first+blockSize
		}
	}
	t.Fatalf("testservice: no free port on 127.0.0.1 from %d to %d", firstPort, firstPort+portBlocks*blockSize-1)
	return 0
}

func listen(port int) (net.Listener, error) {
	return net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
}
