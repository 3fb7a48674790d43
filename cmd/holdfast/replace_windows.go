package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
)

// socket remembers where to listen: Windows hands no socket over. The port is
// let go and taken again, and whoever connects in that moment is refused.
type socket struct{ at *net.TCPAddr }

func keep(listener *net.TCPListener) (*socket, error) {
	return &socket{listener.Addr().(*net.TCPAddr)}, nil
}

func (s *socket) close() error { return nil }

// listenAgain takes the port for another run of this process.
func (s *socket) listenAgain() (*net.TCPListener, error) {
	return net.ListenTCP("tcp", s.at)
}

// execSuccessor starts the program as it is on disk now; this process is to end.
func (s *socket) execSuccessor() error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	child := exec.Command(program, os.Args[1:]...)
	child.Env = append(os.Environ(), successorEnv+"=1")
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := child.Start(); err != nil {
		return fmt.Errorf("start %s: %w", program, err)
	}
	return child.Process.Release()
}
