//go:build unix

package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// socket is a second handle on the listening socket. As long as it is open the
// system queues connections, also while nobody accepts them.
type socket struct{ file *os.File }

func keep(listener *net.TCPListener) (*socket, error) {
	file, err := listener.File()
	if err != nil {
		return nil, fmt.Errorf("keep the socket: %w", err)
	}
	return &socket{file}, nil
}

func (s *socket) close() error { return s.file.Close() }

// listenAgain gives the socket to another run of this process.
func (s *socket) listenAgain() (*net.TCPListener, error) {
	defer s.file.Close()
	listener, err := net.FileListener(s.file)
	if err != nil {
		return nil, err
	}
	return listener.(*net.TCPListener), nil
}

// execSuccessor becomes the program as it is on disk now, in this very process: the
// process id, the terminal and whoever supervises it stay. It returns only when
// that failed.
func (s *socket) execSuccessor() error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	fd := s.file.Fd()
	if _, err := unix.FcntlInt(fd, unix.F_SETFD, 0); err != nil {
		return fmt.Errorf("hand the socket over: %w", err)
	}
	environ := append(os.Environ(), socketEnv+"="+strconv.Itoa(int(fd)))
	err = syscall.Exec(program, append([]string{program}, os.Args[1:]...), environ)
	return fmt.Errorf("become %s: %w", program, err)
}
