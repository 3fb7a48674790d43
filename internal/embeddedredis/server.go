// Package embeddedredis runs a small Redis-compatible server inside a process, for
// machines without Redis. Redcon implements the protocol (RESP2); Redka stores the
// data in SQLite.
//
// The package owns the data file, the lock that restricts the file to one process,
// the socket, and about 25 commands: strings with expiry, transactions, scripts,
// and commands to inspect the data (SCAN, INFO, MONITOR). They answer as Redis 7.0
// does. The server runs no Lua: a [Script] names its Lua source and a Go function
// that does the same in one SQLite transaction.
//
// The package knows nothing about its users.
package embeddedredis

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"github.com/gomodule/redigo/redis"
	"github.com/nalgeon/redka"
	"github.com/tidwall/redcon"

	"holdfast/internal/sqlitefile"
)

const (
	// maxSocketPath is the longest path that a unix socket can have everywhere
	// (sun_path is 104 bytes on macOS, 108 on Linux, with the closing NUL).
	maxSocketPath = 103

	// lockLimit is how long a start waits for a predecessor to stop.
	lockLimit = 3 * time.Second

	// transactionLimit is how long a transaction may take before it is rolled
	// back, including the wait for those before it. Callers set shorter
	// deadlines themselves; this only guarantees that a transaction ends.
	transactionLimit = time.Minute

	dataFile   = "redis.db"
	socketFile = "redis.sock"

	// errNoUnixSockets is WSAEAFNOSUPPORT, which Windows returns if it has no unix
	// sockets.
	errNoUnixSockets = syscall.Errno(10047)
)

// Config configures a server.
type Config struct {
	Dir     string // an existing directory for the data file, the lock and the socket
	Product string // name of the embedding program, for error messages and INFO
	Scripts []Script
	Log     *slog.Logger
	// DiskFull is called when the disk is full, before the transaction is retried. It
	// may be nil.
	DiskFull func()
}

// Server is a running server. Close stops it.
type Server struct {
	Config
	db       *redka.DB
	rw       *sql.DB // the handle under db that writes
	table    map[string]command
	scripts  map[string]Script // by the SHA-1 of their source
	lock     *flock.Flock
	listener net.Listener
	socket   string // its path; "" for a server that only Dial reaches
	own      string // directory created for the socket only, or ""
	started  time.Time
	pause    atomic.Pointer[chan struct{}] // closed when the pause ends; nil: none
	closing  chan struct{}
	close    func() error
	clients  atomic.Int64
	commands atomic.Int64
	monitors monitors
	working  sync.WaitGroup // the accept loop, each client, each monitor
}

// Start serves the database redis.db in cfg.Dir on the socket redis.sock in the
// same directory, or in a new temporary directory if that path is too long for a
// socket. If no socket is possible, the server can only be reached with
// [Server.Dial]. A second process that starts a server in the same directory waits
// three seconds for the first to stop, and then gets an error.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	return start(ctx, cfg, net.Listen)
}

func start(ctx context.Context, cfg Config, listen func(network, address string) (net.Listener, error)) (*Server, error) {
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("find embedded Redis directory: %w", err)
	}
	cfg.Dir = dir
	s := &Server{
		Config:   cfg,
		table:    commandTable(),
		scripts:  map[string]Script{},
		lock:     flock.New(filepath.Join(dir, "redis.lock"), flock.SetPermissions(0o600)),
		started:  time.Now(),
		closing:  make(chan struct{}),
		monitors: monitors{all: map[*monitor]struct{}{}},
	}
	s.close = sync.OnceValue(s.shutDown)
	for _, script := range cfg.Scripts {
		s.scripts[redis.NewScript(0, script.Source).Hash()] = script
	}
	if err := takeLock(ctx, s.lock); err != nil {
		return nil, err
	}
	if err := s.openData(); err != nil {
		return nil, errors.Join(err, s.lock.Unlock())
	}
	if err := s.listen(listen); err != nil {
		return nil, errors.Join(err, s.db.Close(), s.lock.Unlock())
	}
	server := redcon.NewServerNetwork("unix", s.socket, s.serve, s.admit, s.dismiss)
	server.AcceptError = func(err error) {
		s.Log.Error("embedded Redis failed to accept a connection", "cause", err)
		time.Sleep(100 * time.Millisecond) // no file descriptor is left
	}
	s.working.Go(func() { _ = server.Serve(s.listener) }) // AcceptError gets its errors
	return s, nil
}

// takeLock waits briefly for a predecessor that is about to stop.
func takeLock(ctx context.Context, lock *flock.Flock) error {
	ctx, cancel := context.WithTimeout(ctx, lockLimit)
	defer cancel()
	_, err := lock.TryLockContext(ctx, 20*time.Millisecond)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s is in use by another running server: stop it, use another DATA_DIR, or set REDIS_URL to share sessions between servers", lock.Path())
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", lock.Path(), err)
	}
	return nil
}

func (s *Server) openData() error {
	file := filepath.Join(s.Dir, dataFile)
	s.reportMisplaced(file)
	// One handle writes and one reads, as in redka.Open, which accepts no path with
	// ?, # or %41 in it.
	rw, err := sqlitefile.Open(file, url.Values{"_txlock": {"immediate"}, "_pragma": {"secure_delete(1)"}})
	if err != nil {
		return fmt.Errorf("open embedded Redis: %w", err)
	}
	ro, err := sqlitefile.Open(file, url.Values{"mode": {"ro"}})
	if err != nil {
		return errors.Join(fmt.Errorf("open embedded Redis: %w", err), rw.Close())
	}
	s.rw = rw
	s.db, err = redka.OpenDB(rw, ro, &redka.Options{DriverName: sqlitefile.Driver, Timeout: transactionLimit})
	if err != nil {
		return errors.Join(fmt.Errorf("open embedded Redis in %s: %w", s.Dir, err), rw.Close(), ro.Close())
	}
	return nil
}

func (s *Server) listen(listen func(network, address string) (net.Listener, error)) error {
	socket, err := s.socketPath()
	if err != nil {
		return err
	}
	if socket == "" {
		s.inProcess("no directory path is short enough")
		return nil
	}
	// A killed process left it; holding the lock proves that the process is gone.
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove old socket: %w", err)
	}
	listener, err := listen("unix", socket)
	if errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, errNoUnixSockets) {
		s.inProcess("Unix sockets are not supported here")
		return nil
	}
	if err != nil {
		return fmt.Errorf("start embedded Redis: %w", err)
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		return fmt.Errorf("restrict socket permissions: %w", errors.Join(err, listener.Close()))
	}
	s.listener, s.socket = listener, socket
	return nil
}

func (s *Server) inProcess(why string) {
	s.Log.Info("embedded Redis has no socket: " + why)
	s.listener = &pipes{conns: make(chan net.Conn), closed: s.closing}
}

// socketPath returns the path of the socket: in the data directory, or in a
// separate one if that path is too long; "" if both are.
func (s *Server) socketPath() (string, error) {
	if path := filepath.Join(s.Dir, socketFile); len(path) <= maxSocketPath {
		return path, nil
	}
	own, err := os.MkdirTemp("", "redis")
	if err != nil {
		return "", fmt.Errorf("create socket directory: %w", err)
	}
	s.own = own
	if path := filepath.Join(own, socketFile); len(path) <= maxSocketPath {
		return path, nil
	}
	return "", nil
}

// Dial opens a connection to the server.
func (s *Server) Dial(ctx context.Context, options ...redis.DialOption) (redis.Conn, error) {
	if s.socket != "" {
		return redis.DialContext(ctx, "unix", s.socket, options...)
	}
	return redis.DialContext(ctx, "pipe", "", append(options, redis.DialContextFunc(s.listener.(*pipes).dial))...)
}

// DialSocket opens a connection to the server that another process runs in dir. It
// fails if no server runs there, or if the server's socket is elsewhere: see
// [Start].
func DialSocket(ctx context.Context, dir string, options ...redis.DialOption) (redis.Conn, error) {
	return redis.DialContext(ctx, "unix", filepath.Join(dir, socketFile), options...)
}

// Socket returns the absolute path for redis-cli -s; "" if there is no socket.
func (s *Server) Socket() string { return s.socket }

// MaxPause is the longest time for which a server can be paused.
const MaxPause = 5 * time.Second

// Pause makes the server accept connections and answer no command for d, at most
// [MaxPause], as a stopped process does. The returned channel is closed when the
// pause ends. A second call during the pause returns the same channel and does not
// prolong it.
func (s *Server) Pause(d time.Duration) (over <-chan struct{}) {
	end := make(chan struct{})
	for !s.pause.CompareAndSwap(nil, &end) {
		if already := s.pause.Load(); already != nil {
			return *already
		}
	}
	time.AfterFunc(min(d, MaxPause), func() {
		s.pause.Store(nil)
		close(end)
	})
	return end
}

// Close stops the server: it finishes the running commands, then closes
// connections, data and lock. It does not wait for the end of a pause. A second
// Close does nothing.
func (s *Server) Close() error { return s.close() }

func (s *Server) shutDown() error {
	close(s.closing)
	err := s.listener.Close() // removes the socket, and makes redcon close its connections
	s.monitors.closeAll()
	s.working.Wait()
	// Empty the log first: the read-only handle is closed last and would leave it, with
	// the data that was deleted.
	if _, err := s.rw.Exec("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		s.Log.Warn("embedded Redis: log not emptied, the next start reads it", "cause", err)
	}
	err = errors.Join(err, s.db.Close())
	if s.own != "" {
		err = errors.Join(err, os.RemoveAll(s.own))
	}
	return errors.Join(err, s.lock.Unlock())
}

// pipes is a listener for connections inside the process. A client must not write
// more than a few commands before it reads: replies are not buffered.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements [net.Listener].
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener]. The server closes the channel.
func (p *pipes) Close() error { return nil }

// Addr implements [net.Listener].
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Net: "pipe"} }
