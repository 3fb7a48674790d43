package testservice

import (
	"path/filepath"
	"strings"
	"testing"
)

// nginxFrame is the frame of a configuration of servers: one process, whose
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
	path := written(t, "nginx.conf", strings.Replace(nginxFrame, "SERVERS", servers, 1))
	folder := filepath.Dir(path)
	serve(t, folder, addr, "nginx", "-p", folder, "-c", path)
}
