package httpserver

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"time"
)

// takeOverTimeout is how long a successor tries to listen: the predecessor may
// still hold the port for a moment.
const takeOverTimeout = 5 * time.Second

// socket is the address to listen on: Windows cannot pass a socket to another
// process. The port is released and opened again, and clients that connect in that
// moment are refused.
type socket struct{ address string }

func keep(listener *net.TCPListener) (*socket, error) {
	return &socket{listener.Addr().String()}, nil
}

// Close implements [io.Closer].
func (s *socket) Close() error { return nil }

func (s *socket) listen() (*net.TCPListener, error) {
	return inherit(context.Background(), s.address)
}

// inherit listens on the address that was passed.
func inherit(ctx context.Context, passed string) (tcp *net.TCPListener, err error) {
	ctx, cancel := context.WithTimeout(ctx, takeOverTimeout)
	defer cancel()
	poll(ctx, 50*time.Millisecond, func() bool {
		var listener net.Listener
		if listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", passed); err == nil {
			tcp = listener.(*net.TCPListener)
		}
		return err == nil
	})
	return tcp, err
}

// become starts the program that is on disk now; this process must then exit.
func (p Process) become(s *socket) error {
	child := exec.Command(p.program, os.Args[1:]...)
	child.Env = append(os.Environ(), p.socketEnv+"="+s.address)
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := child.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.program, err)
	}
	return child.Process.Release()
}
