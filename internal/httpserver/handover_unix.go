//go:build unix

package httpserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// socket is a second handle to the listening socket. While it is open, the kernel
// queues connections even if none are accepted.
type socket struct{ *os.File }

func keep(listener *net.TCPListener) (*socket, error) {
	file, err := listener.File()
	if err != nil {
		return nil, fmt.Errorf("duplicate socket: %w", err)
	}
	return &socket{file}, nil
}

// listen closes the handle and returns a listener on its socket.
func (s *socket) listen() (*net.TCPListener, error) {
	defer s.Close()
	listener, err := net.FileListener(s.File)
	if err != nil {
		return nil, err
	}
	tcp, ok := listener.(*net.TCPListener)
	if !ok {
		return nil, errors.Join(errors.New("not a TCP socket"), listener.Close())
	}
	return tcp, nil
}

// inherit opens the socket whose file descriptor was passed.
func inherit(_ context.Context, passed string) (*net.TCPListener, error) {
	fd, err := strconv.Atoi(passed)
	if err != nil || fd < 3 {
		return nil, fmt.Errorf("%q is not a file descriptor", passed)
	}
	return (&socket{os.NewFile(uintptr(fd), "listener")}).listen()
}

// become replaces the running program with the one that is on disk now. The process ID,
// the terminal and the supervisor stay the same. It returns only if that fails.
func (p Process) become(s *socket) error {
	fd := s.Fd()
	if _, err := unix.FcntlInt(fd, unix.F_SETFD, 0); err != nil {
		return fmt.Errorf("pass socket: %w", err)
	}
	environ := append(os.Environ(), p.socketEnv+"="+strconv.Itoa(int(fd)))
	err := syscall.Exec(p.program, append([]string{p.program}, os.Args[1:]...), environ)
	return fmt.Errorf("exec %s: %w", p.program, err)
}
