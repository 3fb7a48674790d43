package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"holdfast/internal/config"
	"holdfast/internal/product"
	"holdfast/internal/session/store"
	"holdfast/web"
)

// A server that is asked to restart replaces itself: it rehearses the start in
// a child, finishes what is in flight, closes its stores, and becomes the new
// program. The listening socket stays open throughout, so that whoever connects
// meanwhile waits instead of being refused. docs/decisions has the reasons.

// The names in the environment with which a server tells its successor what it
// is. They are no settings: nobody else sets them.
const (
	rehearsalEnv = product.EnvPrefix + "REHEARSAL" // start up to the first exclusive thing, then exit
	socketEnv    = product.EnvPrefix + "SOCKET"    // file descriptor of the listening socket
	successorEnv = product.EnvPrefix + "SUCCESSOR" // the predecessor may hold the port for a moment
)

// predecessor is what the server before told this one.
type predecessor struct {
	socket    string // the descriptor it left open, as text; "" for none
	leaves    bool   // it may hold the port for a moment
	rehearsal bool   // this is only a rehearsal of a start
}

// hearPredecessor reads what the server before said and takes it out of the
// environment. It is meant for this process alone: a descriptor of this process
// is another file, or none, in a child, and every child would believe it.
func hearPredecessor(getenv func(string) string) (predecessor, error) {
	p := predecessor{
		socket:    getenv(socketEnv),
		leaves:    getenv(successorEnv) != "",
		rehearsal: getenv(rehearsalEnv) != "",
	}
	for _, name := range []string{socketEnv, successorEnv, rehearsalEnv} {
		if err := os.Unsetenv(name); err != nil {
			return predecessor{}, fmt.Errorf("take %s out of the environment: %w", name, err)
		}
	}
	return p, nil
}

// rehearsalTimeout bounds a rehearsal. It is shorter than an answer may take,
// because the request for a restart waits for it.
const rehearsalTimeout = 12 * time.Second

// replacing is how one run of the server comes to be replaced.
type replacing struct {
	listener *net.TCPListener
	end      context.CancelFunc // of the run
	log      *slog.Logger
	asked    atomic.Bool
	socket   atomic.Pointer[socket] // set when the run is to be replaced
}

// restart rehearses the start of this program as it is on disk now, with the
// same arguments. When that fails, the error says why, and the server goes on.
// When it passes, the run ends once this request is answered; the socket goes
// on listening.
func (r *replacing) restart(ctx context.Context) error {
	if !r.asked.CompareAndSwap(false, true) {
		return web.ErrRestarting
	}
	kept, err := r.prepare(ctx)
	if err != nil {
		r.asked.Store(false)
		return err
	}
	r.log.InfoContext(ctx, "restart", "process", os.Getpid())
	r.socket.Store(kept)
	r.end()
	return nil
}

func (r *replacing) prepare(ctx context.Context) (*socket, error) {
	if err := rehearse(ctx); err != nil {
		return nil, err
	}
	return keep(r.listener)
}

// rehearse starts this program in a child that takes nothing for itself.
func rehearse(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, rehearsalTimeout)
	defer cancel()
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	child := exec.CommandContext(ctx, program, os.Args[1:]...)
	child.Env = append(os.Environ(), rehearsalEnv+"=1")
	child.WaitDelay = time.Second
	if said, err := child.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %w: %s", web.ErrNoReplacement, err, lastLine(said))
	}
	return nil
}

func lastLine(output []byte) string {
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	return lines[len(lines)-1]
}

// rehearsal is what the child does: everything a start needs, short of the
// socket and of stores that belong to one process.
func rehearsal(ctx context.Context, cfg config.Config, log *slog.Logger) (err error) {
	if err := web.CheckTemplates(); err != nil {
		return err
	}
	db, err := openDatabase(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if cfg.SessionStore != store.KindRedis || cfg.RedisURL == "" {
		return nil
	}
	sessions, err := openSessions(ctx, cfg, db, 0, log)
	if err != nil {
		return err
	}
	return sessions.Close()
}

// listen takes the socket over from a predecessor, or opens one.
func listen(ctx context.Context, cfg config.Config, before predecessor) (*net.TCPListener, error) {
	if before.socket != "" {
		return inheritedSocket(before.socket)
	}
	var again time.Duration
	if before.leaves {
		again = 5 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, max(again, time.Second))
	defer cancel()
	for {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Address())
		if err == nil {
			return listener.(*net.TCPListener), nil
		}
		if again == 0 || !wait(ctx, 50*time.Millisecond) {
			return nil, fmt.Errorf("listen on %s: %w", cfg.Address(), err)
		}
	}
}

// wait returns false when ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func inheritedSocket(text string) (*net.TCPListener, error) {
	fd, err := strconv.Atoi(text)
	if err != nil || fd < 3 {
		return nil, fmt.Errorf("take the socket over: %s=%q is no descriptor", socketEnv, text)
	}
	file := os.NewFile(uintptr(fd), "listener")
	defer file.Close()
	listener, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("take the socket over: %w", err)
	}
	tcp, ok := listener.(*net.TCPListener)
	if !ok {
		return nil, errors.Join(errors.New("take the socket over: it is not a TCP socket"), listener.Close())
	}
	return tcp, nil
}

// serveUntilReplaced serves until there is no successor: each run opens the
// stores, serves and closes them; a run that is to be replaced is followed by the
// new program in this process, or, where that fails, by another run.
func serveUntilReplaced(ctx context.Context, cfg config.Config, flags config.Serve, before predecessor, log *slog.Logger, stdout io.Writer) error {
	listener, err := listen(ctx, cfg, before)
	if err != nil {
		return err
	}
	cfg = cfg.WithPort(listener.Addr().(*net.TCPAddr).Port)
	for {
		kept, err := serve(ctx, cfg, flags, listener, log, stdout)
		if kept == nil {
			return err
		}
		if ctx.Err() != nil {
			return errors.Join(err, kept.close())
		}
		if err != nil {
			log.Warn("restart cut something off", "cause", err)
		}
		if err = kept.execSuccessor(); err == nil {
			return nil
		}
		log.Error("no replacement, serving on", "cause", err)
		if listener, err = kept.listenAgain(); err != nil {
			return fmt.Errorf("listen again: %w", err)
		}
	}
}
