package main_test

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"sync"
	"testing"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testservice"
)

// TestUsersLogInThroughPgBouncer configures PgBouncer as docs/operations.md says, in
// session and transaction mode. In transaction mode, it has fewer connections than the
// server.
func TestUsersLogInThroughPgBouncer(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	ignored := regexp.MustCompile("`(ignore_startup_parameters = [^`]+)`").FindSubmatch(document)
	if ignored == nil {
		t.Fatal("the document has no parameters to ignore")
	}
	each(t, map[string]string{"session": "", "transaction": "exec"}, func(t *testing.T, mode, execute string) {
		connections := map[string]int{"session": 30, "transaction": 8}[mode]
		database, err := url.Parse(testkit.Postgres(t).URL)
		require.NoError(t, err)
		secret, _ := database.User.Password()
		port := testservice.FreePort(t)
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		testservice.PgBouncer(t, fmt.Sprintf(`
[databases]
* = host=127.0.0.1 port=%s user=%s password='%s'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
user = postgres
auth_type = any
pool_mode = %s
default_pool_size = %d
%s
`, database.Port(), database.User.Username(), secret, port, mode, connections, ignored[1]), addr)
		database.Host = addr
		query := database.Query()
		if execute != "" {
			query.Set("default_query_exec_mode", execute)
		}
		database.RawQuery = query.Encode()
		server := start(t, onServices("", database.String()))
		const users = 24
		var all [users]*visitor
		for i := range all {
			all[i] = newVisitor(t, server.URL)
		}
		var registering sync.WaitGroup
		for _, user := range all {
			registering.Go(func() {
				// A busy machine refuses some sign-ups at first, because their
				// passwords would wait too long.
				testkit.Eventually(t, answerLimit, "register "+user.email, func() error { return entered(user.trySignUp()) })
			})
		}
		registering.Wait()
		for _, user := range all {
			if err := greeted(user); err != nil {
				t.Error(err)
			}
		}
	})
}
