package testservice

import (
	"path/filepath"
	"strings"
	"testing"
)

// nginxFrame is the configuration around the server blocks. It runs one process, with
// all its files in its folder.
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

// Nginx runs nginx with these server blocks in its http block until the test ends. It
// returns when addr accepts connections.
func Nginx(t testing.TB, servers, addr string) {
	t.Helper()
	path := written(t, "nginx.conf", strings.Replace(nginxFrame, "SERVERS", servers, 1))
	folder := filepath.Dir(path)
	serve(t, folder, addr, "nginx", "-p", folder, "-c", path)
}
