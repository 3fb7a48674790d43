package testservice

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// nginxFrame is what a configuration of servers stands in: one process, whose
// files are all in its folder.
const nginxFrame = `
daemon off;
master_process off;
pid nginx.pid;
error_log error.log;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
SERVERS
}
`

// Nginx runs nginx with these servers, as they stand in its block http, until
// the test's end. It returns when addr takes connections.
func Nginx(t testing.TB, servers, addr string) {
	t.Helper()
	program, folder := Program(t, "nginx"), t.TempDir()
	conf := filepath.Join(folder, "nginx.conf")
	if err := os.WriteFile(conf, []byte(strings.Replace(nginxFrame, "SERVERS", servers, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(folder, "nginx.log")
	run, err := launch(exec.Command(program, "-p", folder, "-c", conf), log, folder, "QUIT")
	if err != nil {
		t.Fatalf("testservice: start nginx: %v", err)
	}
	t.Cleanup(func() {
		if err := run.end(syscall.SIGTERM); err != nil {
			t.Errorf("testservice: end nginx: %v", err)
		}
	})
	err = poll(run, startLimit, func(ctx context.Context) error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	if err != nil {
		t.Fatalf("testservice: start nginx: %v\n%s", err, tail(log))
	}
}
