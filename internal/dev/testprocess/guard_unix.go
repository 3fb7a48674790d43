//go:build unix

package testprocess

import (
	"io"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
)

// killLeft waits for the end of its standard input, whose other end only the
// test process holds. The word "released" says that nothing is left to do.
const killLeft = `trap '' HUP INT TERM
read word; [ "$word" = released ] || kill -KILL "$1"`

// guard kills the process if the test process dies before it is released.
func guard(pid int) (release func(), err error) {
	cmd := exec.Command("/bin/sh", "-c", killLeft, "testprocess-guard", strconv.Itoa(pid))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the tests
	in, err := cmd.StdinPipe()
	if err != nil {
		return func() {}, err
	}
	if err := cmd.Start(); err != nil {
		return func() {}, err
	}
	return sync.OnceFunc(func() {
		_, _ = io.WriteString(in, "released\n") // a guard that is gone needs no word
		in.Close()
		_ = cmd.Wait()
	}), nil
}
