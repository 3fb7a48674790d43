package testservice

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// process is one run of a server program. If the test process dies first, a guard stops
// the server.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the program has exited

	mu     sync.Mutex
	paused func() // resumes the paused processes; nil while running
}

// launch starts cmd with its output in logPath. If the test process dies, a guard sends
// the server the signal last and removes folder.
func launch(cmd *exec.Cmd, logPath, folder, last string) (*process, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	apart(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	release, err := guardServer(cmd.Process.Pid, folder, last)
	if err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return nil, fmt.Errorf("start guard: %w", err)
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		cmd.Wait()
		release()
		close(p.done)
	}()
	return p, nil
}

func (p *process) running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// end sends the signal how to the server and waits until it exits. It resumes a paused
// server, which does nothing more if the signal is SIGKILL. If the server does not exit
// in time, end kills it and returns an error.
func (p *process) end(how syscall.Signal) error {
	if !p.running() {
		return nil
	}
	if how != syscall.SIGKILL {
		p.resume()
	}
	err := send(p.cmd.Process, how)
	p.resume()
	if err != nil && p.running() {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(stopLimit):
	}
	p.cmd.Process.Kill()
	<-p.done
	return fmt.Errorf("still running %s after %s: killed", stopLimit, how)
}

// pause suspends the server and its children (SIGSTOP).
func (p *process) pause() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.paused != nil {
		return nil
	}
	wake, err := freeze(p.cmd.Process.Pid)
	if err != nil {
		return err
	}
	p.paused = wake
	return nil
}

func (p *process) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.paused != nil {
		p.paused()
		p.paused = nil
	}
}

// tail returns the end of a log, for an error message.
func tail(path string) string {
	const most = 4000
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(data[max(0, len(data)-most):])
}
