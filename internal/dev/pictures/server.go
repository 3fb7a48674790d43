package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

const (
	startLimit = 30 * time.Second // from the start to the announced address
	stopLimit  = 30 * time.Second
)

// server is the Holdfast that is pictured.
type server struct {
	url string
	cmd *exec.Cmd
	log bytes.Buffer
}

// start builds Holdfast and serves it from folder with nothing set but a port.
func start(ctx context.Context, folder string) (*server, error) {
	program := filepath.Join(folder, "holdfast")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "./cmd/holdfast").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build: %w\n%s", err, out)
	}
	s := &server{cmd: exec.Command(program)}
	// The port is the system's to choose; the environment is ours alone.
	s.cmd.Dir, s.cmd.Env, s.cmd.Stderr = folder, []string{"PORT=0", "LOG_LEVEL=warn"}, &s.log
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	if s.url, err = announced(stdout); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// announced reads the address that a start prints, and whatever follows.
func announced(stdout io.Reader) (string, error) {
	address := make(chan string, 1)
	go func() {
		defer close(address)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			if words := strings.Fields(lines.Text()); len(words) == 2 && words[0] == "open" {
				address <- words[1]
				break
			}
		}
		_, _ = io.Copy(io.Discard, stdout) // until the server ends
	}()
	select {
	case at := <-address:
		if at == "" {
			return "", errors.New("the server ended without an address")
		}
		return at, nil
	case <-time.After(startLimit):
		return "", fmt.Errorf("the server announced no address within %s", startLimit)
	}
}

// stop ends the server in good order, or else by force.
func (s *server) stop() error {
	kill := time.AfterFunc(stopLimit, func() { _ = s.cmd.Process.Kill() })
	defer kill.Stop()
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		// Windows has no such signal; what is lost is thrown away anyway.
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		return nil
	}
	if err := s.cmd.Wait(); err != nil {
		return fmt.Errorf("stop: %w\n%s", err, s.log.Bytes())
	}
	return nil
}

// submit sends a form and follows to the page after it.
func submit(ctx context.Context, client *http.Client, to, browser string, form url.Values) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("User-Agent", browser)
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", to, response.Status)
	}
	_, err = io.Copy(io.Discard, response.Body)
	return err
}
