package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

// process is one server under measurement, in a process of its own, with its
// log going to a file as in production.
type process struct {
	url     string // as it announced itself
	cmd     *exec.Cmd
	logPath string
	stopped bool
}

const (
	announceLimit = 20 * time.Second
	leaveLimit    = 15 * time.Second
)

var announced = regexp.MustCompile(`https?://\S+`)

// launch starts a program in a new folder and waits for the line in which it
// says its address. Its settings are env alone: nothing of this process's
// environment counts. It runs until it is stopped, or the measurement is over.
func (l *lab) launch(ctx context.Context, program string, args []string, env ...string) (*process, error) {
	folder, err := os.MkdirTemp(l.folder, "server-")
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.CommandContext(ctx, program, args...), logPath: filepath.Join(folder, "log")}
	log, err := os.OpenFile(p.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd.Dir, p.cmd.Env, p.cmd.Stderr = folder, env, log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	l.running = append(l.running, p)
	address := make(chan string, 1)
	go func() {
		defer close(address)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if at := announced.FindString(lines.Text()); at != "" {
				address <- at
				break
			}
		}
		_, _ = io.Copy(io.Discard, out) // until the program ends
	}()
	select {
	case p.url = <-address:
	case <-time.After(announceLimit):
	}
	if p.url == "" {
		return nil, fmt.Errorf("%s said no address:\n%s", filepath.Base(program), p.logTail())
	}
	return p, nil
}

// stop asks the program to end, as an operator does, and waits for it.
func (p *process) stop() error {
	if p.stopped {
		return nil
	}
	p.stopped = true
	kill := time.AfterFunc(leaveLimit, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	if err := interrupt(p.cmd.Process); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("stop %s: %w:\n%s", filepath.Base(p.cmd.Path), err, p.logTail())
	}
	return nil
}

// busy is the processor time the program has taken so far, in seconds, where
// the system tells it (Linux); elsewhere 0.
func (p *process) busy() float64 {
	const ticksPerSecond = 100 // USER_HZ, the same on every Linux that Go runs on
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	// pid (name) state …, where the name may hold anything; see proc(5).
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0
	}
	user, err1 := strconv.ParseFloat(string(fields[11]), 64)
	system, err2 := strconv.ParseFloat(string(fields[12]), 64)
	if errors.Join(err1, err2) != nil {
		return 0
	}
	return (user + system) / ticksPerSecond
}

func (p *process) logTail() []byte {
	text, err := os.ReadFile(p.logPath)
	if err != nil {
		return []byte(err.Error())
	}
	return bytes.TrimSpace(text[max(0, len(text)-2000):])
}
