package restartcheck

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"holdfast/internal/product"
)

const (
	startLimit = 30 * time.Second // a server must say where it is within this
	stopLimit  = 20 * time.Second // and be gone within this after being told to stop
	logTail    = 4 << 10          // bytes of a server's log that are kept for an error
)

// child is a running server. It ends with this process, however this process
// ends: its standard input is a pipe that nobody else holds.
type child struct {
	// says is what the server announced: open, sessions, people, metrics.
	says map[string]string

	cmd   *exec.Cmd
	stdin io.Closer
	log   *tail
	done  chan struct{} // closed when it has ended
	ended error         // why, once done is closed
}

// startChild starts the program on the stores of where and waits until it says
// that it serves. Its error is an *endedError when it refused to. extra is
// added to its environment.
func startChild(ctx context.Context, program string, where *place, extra ...string) (*child, error) {
	c := &child{log: &tail{}, done: make(chan struct{})}
	c.cmd = exec.Command(program, "serve", "--stop-with-stdin")
	c.cmd.Dir = where.folder
	c.cmd.Env = append(append(os.Environ(), where.settings()...), extra...)
	c.cmd.WaitDelay = time.Second
	heard := &announcement{whole: make(chan struct{}), says: map[string]string{}}
	c.cmd.Stdout, c.cmd.Stderr = heard, c.log
	var err error
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	go func() {
		c.ended = c.cmd.Wait()
		close(c.done)
	}()
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	select {
	case <-heard.whole:
		c.says = heard.says
		return c, nil
	case <-c.done:
		return nil, &endedError{cause: c.ended, log: c.log.String()}
	case <-ctx.Done():
		c.kill()
		return nil, fmt.Errorf("the server did not say that it serves: %w\n%s", ctx.Err(), c.log)
	}
}

// stop ends the server in good order: by SIGTERM, and where there are no
// signals by the end of its standard input.
func (c *child) stop() error {
	var err error
	if runtime.GOOS == "windows" {
		err = c.stdin.Close()
	} else {
		err = c.cmd.Process.Signal(syscall.SIGTERM)
	}
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		c.kill()
		return fmt.Errorf("stop the server: %w", err)
	}
	select {
	case <-c.done:
	case <-time.After(stopLimit):
		c.kill()
		return fmt.Errorf("the server was still there %s after being told to stop\n%s", stopLimit, c.log)
	}
	if c.ended != nil {
		return &endedError{cause: c.ended, log: c.log.String()}
	}
	return nil
}

// kill ends the server in the middle of whatever it does (SIGKILL), and waits
// until it is gone.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // fails only when it has ended already
	<-c.done
}

// endedError says that a server ended that should not have, or not like that.
type endedError struct {
	cause error // nil: with exit status 0
	log   string
}

func (e *endedError) Error() string {
	how := "exit status 0"
	if e.cause != nil {
		how = e.cause.Error()
	}
	return "the server ended (" + how + ")\n" + e.log
}

func (e *endedError) Unwrap() error { return e.cause }

// lastLine is what the server said last, without the program's name.
func (e *endedError) lastLine() string {
	lines := strings.Split(strings.TrimSpace(e.log), "\n")
	last := strings.TrimPrefix(lines[len(lines)-1], product.Slug+": ")
	if last == "" {
		return "it ended without a word"
	}
	return last
}

// announcement reads what the server says when it starts: lines of a name,
// spaces and a value. The line with the address of its metrics is the last.
type announcement struct {
	begun []byte // a line that has not ended yet
	says  map[string]string
	whole chan struct{}
	heard bool
}

// Write implements [io.Writer].
func (a *announcement) Write(p []byte) (int, error) {
	if a.heard {
		return len(p), nil
	}
	a.begun = append(a.begun, p...)
	for !a.heard {
		line, rest, ended := bytes.Cut(a.begun, []byte("\n"))
		if !ended {
			break
		}
		a.begun = rest
		name, value, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
		a.says[name] = strings.TrimSpace(value)
		if name == "metrics" {
			a.heard = true
			close(a.whole)
		}
	}
	return len(p), nil
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

// Write implements [io.Writer].
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p...)
	t.kept = t.kept[max(0, len(t.kept)-logTail):]
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.kept)
}
