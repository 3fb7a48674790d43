//go:build !unix

package testservice

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// Guard does nothing on this system: a process outlives a test process that is killed.
func Guard(int) (release func(), err error) { return func() {}, nil }

func guardFolder(string) (release func(), err error) { return func() {}, nil }

func guardServer(int, string, string) (release func(), err error) {
	return func() {}, nil
}

func apart(*exec.Cmd) {}

// send can only kill a process on this system.
func send(p *os.Process, _ syscall.Signal) error {
	return p.Kill()
}

func freeze(int) (wake func(), err error) {
	return nil, errors.ErrUnsupported
}

func otherUser(...string) (*syscall.SysProcAttr, error) {
	return nil, nil
}

func openFolder(pattern string) (string, error) {
	return os.MkdirTemp("", pattern)
}
