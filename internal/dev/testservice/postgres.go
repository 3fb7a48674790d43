package testservice

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"holdfast/internal/dev/require"
)

// PostgresServer is an empty database on a PostgreSQL server.
type PostgresServer struct {
	URL string // postgres://USER:PASSWORD@127.0.0.1:PORT/DATABASE; the user is a superuser

	*service
	cluster *cluster // nil unless private
}

// shared is the server that the tests of this process share. [Main] ends it after the
// tests, or a guard if the process is killed.
var shared struct {
	sync.Mutex
	cluster *cluster
	err     error
}

// Postgres returns an empty database on the PostgreSQL server that all tests of this
// process share. The database is dropped when the test ends.
func Postgres(t testing.TB) *PostgresServer {
	t.Helper()
	c := sharedCluster(t)
	s := &PostgresServer{URL: c.newDatabase(t), service: &service{t: t, shared: true}}
	t.Cleanup(func() { c.drop(t, path.Base(s.URL)) })
	return s
}

// FilledPostgres is like [Postgres], but the database is a copy of one that fill has
// filled, once per name in this test process. If a test has not changed the schema of
// its copy, the rows of the copy are reset and another test reuses it.
func FilledPostgres(t testing.TB, name string, fill func(url string) error) *PostgresServer {
	t.Helper()
	return sharedCluster(t).copied(t, name, fill)
}

func sharedCluster(t testing.TB) *cluster {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.cluster == nil && shared.err == nil {
		shared.cluster, shared.err = newCluster(t)
	}
	if shared.err != nil {
		t.Fatalf("testservice: start PostgreSQL: %v", shared.err)
	}
	return shared.cluster
}

// PrivatePostgres returns an empty database on a server for this test only. The test
// may stop, start, pause and resume the server, whose port stays the same.
func PrivatePostgres(t testing.TB) *PostgresServer {
	t.Helper()
	c, err := newCluster(t)
	if err != nil {
		t.Fatalf("testservice: start PostgreSQL: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(c.folder) })
	c.endWithTest()
	return &PostgresServer{URL: c.newDatabase(t), service: c.service, cluster: c}
}

// Follow makes a replica of the current data of a private server. The replica receives
// no later data.
func (s *PostgresServer) Follow() {
	s.t.Helper()
	s.own()
	replica := filepath.Join(s.folder, "replica")
	if out, err := s.cluster.program("pg_basebackup", "-D", replica, "-X", "stream", "-c", "fast", "-d", s.cluster.url("postgres")).CombinedOutput(); err != nil {
		s.t.Fatalf("testservice: make a replica: %v\n%s", err, out)
	}
	if out, err := s.cluster.program("touch", filepath.Join(replica, "standby.signal")).CombinedOutput(); err != nil {
		s.t.Fatalf("testservice: make a replica: %v\n%s", err, out)
	}
}

// FailOver kills the server and promotes its replica in its place.
func (s *PostgresServer) FailOver() {
	s.t.Helper()
	s.Kill()
	err := os.Rename(s.cluster.data(), s.cluster.data()+".lost")
	if err == nil {
		err = os.Rename(filepath.Join(s.folder, "replica"), s.cluster.data())
	}
	require.NoError(s.t, err)
	s.Start()
	require.NoError(s.t, s.cluster.exec("SELECT pg_promote()"))
}

// cluster is one server with its files.
type cluster struct {
	*service
	password string
	port     int
	attr     *syscall.SysProcAttr
	made     atomic.Int64 // databases created so far

	mu        sync.Mutex
	templates map[string]*template
}

func newCluster(t testing.TB) (*cluster, error) {
	t.Helper()
	Program(t, "initdb")
	Program(t, "postgres")
	folder, err := openFolder("holdfast-postgres-")
	if err != nil {
		return nil, err
	}
	c := &cluster{password: rand.Text()}
	c.service = &service{
		t: t, name: "postgres", folder: folder, stop: syscall.SIGINT, last: syscall.SIGQUIT,
		command: func() *exec.Cmd {
			return c.program("postgres", "-D", c.data(), "-p", strconv.Itoa(c.port),
				"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
				"-c", "max_connections=200",
				"-c", "fsync=off", "-c", "full_page_writes=off")
		},
		ready: func(ctx context.Context) error {
			conn, err := pgx.Connect(ctx, c.url("postgres"))
			if err != nil {
				return err
			}
			return conn.Close(ctx)
		},
	}
	if err := c.create(); err != nil {
		os.RemoveAll(folder)
		return nil, err
	}
	return c, nil
}

func (c *cluster) create() error {
	secret := filepath.Join(c.folder, "password")
	if err := os.WriteFile(secret, []byte(c.password), 0o600); err != nil {
		return err
	}
	var err error
	if c.attr, err = otherUser(c.folder, secret); err != nil {
		return err
	}
	initdb := c.program("initdb", "-D", c.data(), "--username=holdfast", "--pwfile="+secret,
		"--auth=password", "--encoding=UTF8", "--locale=C", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return c.startOnFreePort(func(port int) { c.port = port })
}

func (c *cluster) program(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(find(program), args...)
	cmd.Dir = c.folder
	cmd.SysProcAttr = c.attr
	return cmd
}

func (c *cluster) data() string { return filepath.Join(c.folder, "data") }

func (c *cluster) url(database string) string {
	return (&url.URL{
		Scheme: "postgres",
		User:   url.UserPassword("holdfast", c.password),
		Host:   "127.0.0.1:" + strconv.Itoa(c.port),
		Path:   "/" + database,
	}).String()
}

// newDatabase creates an empty database and returns its URL.
func (c *cluster) newDatabase(t testing.TB) string {
	t.Helper()
	name := c.newName()
	if err := c.exec("CREATE DATABASE " + name); err != nil {
		t.Fatalf("testservice: create database: %v", err)
	}
	return c.url(name)
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
