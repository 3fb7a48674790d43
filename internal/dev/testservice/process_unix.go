//go:build unix

package testservice

import (
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
)

// guarded says that a server cannot outlive the test process here.
const guarded = true

// The scripts wait for the end of their standard input. It is the read end of
// a pipe whose other end only the test process holds, so it ends when that
// process does. The word "released" says that there is nothing left to do.
const (
	endServer = `trap '' HUP INT TERM
read word; [ "$word" = released ] && exit
kill -"$3" "$1"; kill -CONT "$1"
tries=0
while kill -0 "$1" && [ $tries -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
kill -KILL "$1"
rm -rf "$2"`
	wakeAll = `trap '' HUP INT TERM
read word; [ "$word" = released ] && exit
kill -CONT "$@"`
	killProcess = `trap '' HUP INT TERM
read word; [ "$word" = released ] || kill -KILL "$1"`
	// Servers and browsers write until they have ended.
	removeFolder = `trap '' HUP INT TERM
read word
tries=0
while [ -e "$1" ] && [ $tries -lt 300 ]; do rm -rf "$1" || sleep 0.2; tries=$((tries + 1)); done`
)

// Guard kills the process if the test process dies before it is released.
func Guard(pid int) (release func(), err error) { return guard(killProcess, strconv.Itoa(pid)) }

// guardFolder removes the folder when it is released or the test process ends.
func guardFolder(folder string) (release func(), err error) { return guard(removeFolder, folder) }

func guardServer(pid int, folder, last string) (release func(), err error) {
	return guard(endServer, strconv.Itoa(pid), folder, last)
}

func guard(script string, args ...string) (release func(), err error) {
	cmd := exec.Command("/bin/sh", append([]string{"-c", script, "testservice-guard"}, args...)...)
	cmd.Dir = "/" // not one that is to be removed
	apart(cmd)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return sync.OnceFunc(func() {
		io.WriteString(in, "released\n")
		in.Close()
		cmd.Wait()
	}), nil
}

// apart puts a child into a process group of its own, so that Ctrl-C at the
// terminal ends the tests first and the servers in good order after them.
func apart(cmd *exec.Cmd) {
	var attr syscall.SysProcAttr
	if cmd.SysProcAttr != nil {
		attr = *cmd.SysProcAttr
	}
	attr.Setpgid = true
	cmd.SysProcAttr = &attr
}

func send(p *os.Process, signal syscall.Signal) error {
	return p.Signal(signal)
}

// freeze stops pid first, so that it can have no new children, and then the
// children it has. A guard wakes them all if the test process dies meanwhile:
// a stopped process would not notice that its parent is gone.
func freeze(pid int) (wake func(), err error) {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return nil, err
	}
	pids := []int{pid}
	wakeNow := func() {
		for _, pid := range pids {
			syscall.Kill(pid, syscall.SIGCONT)
		}
	}
	below, err := children(pid)
	if err != nil {
		wakeNow()
		return nil, err
	}
	args := []string{strconv.Itoa(pid)}
	for _, child := range below {
		if syscall.Kill(child, syscall.SIGSTOP) == nil {
			pids = append(pids, child)
			args = append(args, strconv.Itoa(child))
		}
	}
	release, err := guard(wakeAll, args...)
	if err != nil {
		wakeNow()
		return nil, err
	}
	return func() {
		wakeNow()
		release()
	}, nil
}
