package testservice

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// PostgresServer is an empty database on a PostgreSQL server.
type PostgresServer struct {
	URL string // postgres://USER:PASSWORD@127.0.0.1:PORT/DATABASE; the user is superuser

	t       testing.TB
	cluster *cluster
	private bool
}

// shared is the one server of this test process; it stays until the process
// ends, when its guard ends it and removes its files.
var shared struct {
	sync.Mutex
	cluster *cluster
	err     error
}

// Postgres returns an empty database on the PostgreSQL server that all tests
// of this process share. The database is dropped at the test's end.
func Postgres(t testing.TB) *PostgresServer {
	t.Helper()
	if !guarded {
		return PrivatePostgres(t)
	}
	return sharedCluster(t).database(t, false)
}

// FilledPostgres is like [Postgres], but the database is a copy of one that fill
// has filled: once for each name in this test process. A copy whose schema a test
// has not changed gets its rows back and is used again.
func FilledPostgres(t testing.TB, name string, fill func(url string) error) *PostgresServer {
	t.Helper()
	if !guarded {
		s := PrivatePostgres(t)
		if err := fill(s.URL); err != nil {
			t.Fatalf("testservice: fill the database: %v", err)
		}
		return s
	}
	return sharedCluster(t).copied(t, name, fill)
}

func sharedCluster(t testing.TB) *cluster {
	t.Helper()
	programs(t)
	shared.Lock()
	if shared.cluster == nil && shared.err == nil {
		shared.cluster, shared.err = newCluster(t)
	}
	c, err := shared.cluster, shared.err
	shared.Unlock()
	if err != nil {
		t.Fatalf("testservice: start PostgreSQL: %v", err)
	}
	return c
}

// PrivatePostgres returns an empty database on a server of this test's own,
// which may be stopped, started, paused and resumed; its port stays the same.
func PrivatePostgres(t testing.TB) *PostgresServer {
	t.Helper()
	programs(t)
	c, err := newCluster(t)
	if err != nil {
		t.Fatalf("testservice: start PostgreSQL: %v", err)
	}
	t.Cleanup(func() {
		if err := c.run.end(syscall.SIGQUIT); err != nil {
			t.Errorf("testservice: end PostgreSQL: %v", err)
		}
		os.RemoveAll(c.folder)
	})
	return c.database(t, true)
}

func programs(t testing.TB) {
	t.Helper()
	Program(t, "initdb")
	Program(t, "postgres")
}

// Stop ends the server in good order, connections included (SIGINT), and waits
// until it is gone.
func (s *PostgresServer) Stop() {
	s.t.Helper()
	s.own()
	if err := s.cluster.run.end(syscall.SIGINT); err != nil {
		s.t.Fatalf("testservice: stop PostgreSQL: %v", err)
	}
}

// Start starts a stopped server again, on the same port and files. It returns
// when the server takes connections.
func (s *PostgresServer) Start() {
	s.t.Helper()
	s.own()
	if s.cluster.run.running() {
		s.t.Fatal("testservice: PostgreSQL is running already")
	}
	if err := s.cluster.start(); err != nil {
		s.t.Fatalf("testservice: start PostgreSQL again: %v", err)
	}
}

// Pause hangs the server with all its backends (SIGSTOP): connections stay and
// the system accepts new ones, but nothing is answered until Resume.
func (s *PostgresServer) Pause() {
	s.t.Helper()
	s.own()
	pause(s.t, s.cluster.run)
}

// Resume lets a paused server go on.
func (s *PostgresServer) Resume() {
	s.t.Helper()
	s.own()
	s.cluster.run.resume()
}

func (s *PostgresServer) own() {
	s.t.Helper()
	if !s.private {
		s.t.Fatalf("testservice: other tests share this server: use PrivatePostgres")
	}
}

func pause(t testing.TB, run *process) {
	t.Helper()
	if !run.running() {
		t.Fatal("testservice: a stopped server cannot be paused")
	}
	if !guarded {
		t.Skip("testservice: a process cannot be paused on this system")
	}
	if err := run.pause(); err != nil {
		t.Fatalf("testservice: pause: %v", err)
	}
}

// cluster is one server with its files.
type cluster struct {
	folder   string
	password string
	port     int
	attr     *syscall.SysProcAttr
	run      *process
	made     atomic.Int64 // databases made so far

	mu        sync.Mutex
	templates map[string]*template
}

func newCluster(t testing.TB) (*cluster, error) {
	folder, err := openFolder("holdfast-postgres-")
	if err != nil {
		return nil, err
	}
	c := &cluster{folder: folder, password: rand.Text()}
	if err := c.create(t); err != nil {
		os.RemoveAll(folder)
		return nil, err
	}
	return c, nil
}

func (c *cluster) create(t testing.TB) error {
	secret := filepath.Join(c.folder, "password")
	if err := os.WriteFile(secret, []byte(c.password), 0o600); err != nil {
		return err
	}
	var err error
	if c.attr, err = otherUser(c.folder, secret); err != nil {
		return err
	}
	initdb := c.command("initdb", "-D", c.data(), "--username=holdfast", "--pwfile="+secret,
		"--auth=password", "--encoding=UTF8", "--locale=C", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	for range 3 { // another process may have taken the port meanwhile
		c.port = FreePort(t)
		if err = c.start(); err == nil {
			return nil
		}
	}
	return err
}

func (c *cluster) start() error {
	run, err := launch(c.command("postgres", "-D", c.data(), "-p", strconv.Itoa(c.port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
		"-c", "max_connections=200",
		"-c", "fsync=off", "-c", "full_page_writes=off",
	), c.log(), c.folder, "QUIT")
	if err != nil {
		return err
	}
	c.run = run
	err = poll(run, startLimit, func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, c.url("postgres"))
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	})
	if err != nil {
		run.end(syscall.SIGQUIT)
		return fmt.Errorf("%w\n%s", err, tail(c.log()))
	}
	return nil
}

func (c *cluster) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(find(program), args...)
	cmd.Dir = c.folder
	cmd.SysProcAttr = c.attr
	return cmd
}

func (c *cluster) data() string { return filepath.Join(c.folder, "data") }
func (c *cluster) log() string  { return filepath.Join(c.folder, "postgres.log") }

func (c *cluster) url(database string) string {
	return (&url.URL{
		Scheme: "postgres",
		User:   url.UserPassword("holdfast", c.password),
		Host:   "127.0.0.1:" + strconv.Itoa(c.port),
		Path:   "/" + database,
	}).String()
}

// database makes an empty database and, on a shared server, drops it at the
// test's end with all connections to it.
func (c *cluster) database(t testing.TB, private bool) *PostgresServer {
	t.Helper()
	name := c.newName()
	if err := c.exec("CREATE DATABASE " + name); err != nil {
		t.Fatalf("testservice: create database: %v", err)
	}
	if !private {
		t.Cleanup(func() { c.drop(t, name) })
	}
	return &PostgresServer{URL: c.url(name), t: t, cluster: c, private: private}
}

func (c *cluster) newName() string { return "test_" + strconv.FormatInt(c.made.Add(1), 10) }

func (c *cluster) drop(t testing.TB, name string) {
	t.Helper()
	if err := c.exec("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
		t.Errorf("testservice: drop database: %v", err)
	}
}

func (c *cluster) exec(sql string) error {
	return c.in("postgres", func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, sql)
		return err
	})
}
