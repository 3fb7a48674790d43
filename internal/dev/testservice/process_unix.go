//go:build unix

package testservice

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
)

// The scripts wait for the end of their standard input. It is a pipe whose other end
// only the test process holds, so it ends when that process does. The word "released"
// means that there is nothing left to do.
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
	// Servers and browsers write files until they exit, and browsers create their
	// folders again. After a killed test process, the folder must stay away for 2 s.
	removeFolder = `trap '' HUP INT TERM
read word
tries=0 gone=0
while [ $tries -lt 300 ] && [ $gone -lt 10 ]; do
	if [ -e "$1" ]; then gone=0; rm -rf "$1" || sleep 0.2
	elif [ "$word" = released ]; then exit
	else gone=$((gone + 1)); sleep 0.2
	fi
	tries=$((tries + 1))
done`
)

// Guard kills the process if the test process dies before release is called.
func Guard(pid int) (release func(), err error) { return guard(killProcess, strconv.Itoa(pid)) }

// guardFolder removes the folder when release is called or the test process ends.
func guardFolder(folder string) (release func(), err error) { return guard(removeFolder, folder) }

func guardServer(pid int, folder, last string) (release func(), err error) {
	return guard(endServer, strconv.Itoa(pid), folder, last)
}

func guard(script string, args ...string) (release func(), err error) {
	cmd := exec.Command("/bin/sh", append([]string{"-c", script, "testservice-guard"}, args...)...)
	cmd.Dir = "/" // not a folder that will be removed
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

// apart puts a child into a new process group, so that Ctrl-C at the terminal stops the
// tests first, and the servers cleanly after them.
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

// children lists the direct children of pid. PostgreSQL backends are in separate
// sessions, so a signal to a process group does not reach them.
func children(pid int) ([]int, error) {
	out, err := exec.Command("ps", "-A", "-o", "pid=,ppid=").Output()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var found []int
	for line := range bytes.Lines(out) {
		var child, parent int
		if _, err := fmt.Sscan(string(line), &child, &parent); err == nil && parent == pid {
			found = append(found, child)
		}
	}
	return found, nil
}

// freeze stops pid first, so that it cannot start new children, and then its children.
// If the test process dies meanwhile, a guard resumes them all: a stopped process would
// not notice that its parent has died.
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
