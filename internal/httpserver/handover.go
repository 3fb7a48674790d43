package httpserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// A server that is asked to restart replaces itself: it rehearses the start in a
// child, finishes the requests in flight, closes its stores, and becomes the new
// program. The socket keeps listening, so clients that connect meanwhile wait
// instead of being refused. docs/decisions/0008 has the reasons.

var (
	// ErrRestarting means that the server is being replaced: the client should try
	// again soon.
	ErrRestarting = errors.New("restart in progress")
	// ErrNoReplacement means that the new program did not start. The server keeps
	// running.
	ErrNoReplacement = errors.New("replacement did not start")
)

// rehearsalTimeout bounds a rehearsal, which is a dry run of the start. It is
// shorter than the limit for a response, because the request for a restart waits
// for it.
const rehearsalTimeout = 12 * time.Second

// Process is this process in a series of processes that replace each other. They
// pass values on in environment variables that no other program sets.
type Process struct {
	// Rehearsal means that this process only checks whether the program starts: it
	// must not open anything that only one process can open, and should then exit.
	Rehearsal bool

	program      string // its path
	rehearsalEnv string
	socketEnv    string
	socket       string // how the predecessor passed the socket; "" without one
}

// ThisProcess reads what the predecessor passed in variables whose names begin with
// envPrefix, and unsets them: in a child of this process, the socket's descriptor
// would refer to another file or to none.
func ThisProcess(envPrefix string, getenv func(string) string) (Process, error) {
	p := Process{rehearsalEnv: envPrefix + "REHEARSAL", socketEnv: envPrefix + "SOCKET"}
	p.Rehearsal, p.socket = getenv(p.rehearsalEnv) != "", getenv(p.socketEnv)
	for _, name := range []string{p.rehearsalEnv, p.socketEnv} {
		if err := os.Unsetenv(name); err != nil {
			return Process{}, fmt.Errorf("unset %s: %w", name, err)
		}
	}
	var err error
	if p.program, err = os.Executable(); err != nil {
		return Process{}, fmt.Errorf("find own executable: %w", err)
	}
	return p, nil
}

// Listener is the listening socket of a server that can be replaced.
type Listener struct {
	*net.TCPListener
	process   Process
	log       *slog.Logger
	end       context.CancelFunc // cancels the call of serve that uses the listener
	asked     atomic.Bool
	successor atomic.Pointer[socket] // set when the server is to be replaced
}

// Run inherits the socket of the predecessor, or listens on address, and calls
// serve with it. When serve returns after [Listener.Restart], the new program
// replaces this one; if that fails, serve is called again. The context of serve
// ends with ctx or when a restart begins.
func (p Process) Run(ctx context.Context, address string, log *slog.Logger, serve func(context.Context, *Listener) error) error {
	tcp, err := p.listen(ctx, address)
	if err != nil {
		return err
	}
	for {
		serving, end := context.WithCancel(ctx)
		l := &Listener{TCPListener: tcp, process: p, log: log, end: end}
		err := serve(serving, l)
		end()
		_ = tcp.Close() // fails if serve closed it
		kept := l.successor.Load()
		if kept == nil {
			return err
		}
		if ctx.Err() != nil {
			return errors.Join(err, kept.Close())
		}
		if err != nil {
			log.Warn("requests cut off by the restart", "cause", err)
		}
		if err = p.become(kept); err == nil {
			return nil
		}
		log.Error("restart failed, server continues", "cause", err)
		if tcp, err = kept.listen(); err != nil {
			return fmt.Errorf("listen again: %w", err)
		}
	}
}

// Port returns the port that the socket listens on.
func (l *Listener) Port() int { return l.Addr().(*net.TCPAddr).Port }

func (p Process) listen(ctx context.Context, address string) (*net.TCPListener, error) {
	if p.socket != "" {
		tcp, err := inherit(ctx, p.socket)
		if err != nil {
			return nil, fmt.Errorf("inherit socket: %w", err)
		}
		return tcp, nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s, which HOST and PORT name: %w", address, err)
	}
	tcp := listener.(*net.TCPListener)
	if err := checkOthers(ctx, address, tcp.Addr().(*net.TCPAddr)); err != nil {
		return nil, errors.Join(err, tcp.Close())
	}
	return tcp, nil
}

// checkOthers fails if another program listens on another address of the host name in
// address: a client that tries that one first would talk to it. own is the address that
// this process listens on.
func checkOthers(ctx context.Context, address string, own *net.TCPAddr) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil || host == "" || net.ParseIP(host) != nil {
		return nil // it names all its addresses
	}
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return fmt.Errorf("look up %s: %w", host, err)
	}
	if strings.EqualFold(host, "localhost") { // for browsers it is both, whatever the resolver says
		addresses = append(addresses, netip.IPv6Loopback())
	}
	for _, other := range addresses {
		at := net.TCPAddrFromAddrPort(netip.AddrPortFrom(other.Unmap(), uint16(own.Port)))
		if at.IP.Equal(own.IP) {
			continue
		}
		probe, err := net.ListenTCP("tcp", at)
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			return fmt.Errorf("listen on %s: another program listens on %s, which is the same name: stop it, use another port, or set HOST to %s", address, at, own.IP)
		case err == nil:
			_ = probe.Close() // it was only opened to check
		}
	}
	return nil
}

// Restart rehearses the start of this program as it is on disk now, with the same
// arguments. If that fails, the error says why, and the server keeps running. If it
// succeeds, the context of serve ends; the socket stays open.
func (l *Listener) Restart(ctx context.Context) error {
	if !l.asked.CompareAndSwap(false, true) {
		return ErrRestarting
	}
	err := l.process.rehearse(ctx)
	var kept *socket
	if err == nil {
		kept, err = keep(l.TCPListener)
	}
	if err != nil {
		l.asked.Store(false)
		return err
	}
	l.log.InfoContext(ctx, "restart requested", "pid", os.Getpid())
	l.successor.Store(kept)
	l.end()
	return nil
}

// rehearse starts this program in a child process that opens nothing exclusive.
func (p Process) rehearse(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, rehearsalTimeout)
	defer cancel()
	child := exec.CommandContext(ctx, p.program, os.Args[1:]...)
	child.Env = append(os.Environ(), p.rehearsalEnv+"=1")
	child.WaitDelay = time.Second
	output, err := child.CombinedOutput()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(string(output)), "\n")
		return fmt.Errorf("%w: %w: %s", ErrNoReplacement, err, lines[len(lines)-1])
	}
	return nil
}
