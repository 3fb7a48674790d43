package testservice

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"testing"
)

// Main runs the tests of a package whose tests start processes. It is the whole of that
// package's TestMain. All temporary files of the tests and of the processes they start
// go into one folder (TMPDIR), which is removed at the end. On Unix, a guard removes it
// if the test process is killed. An error from last fails the tests.
func Main(m *testing.M, last ...func() error) {
	os.Exit(run(m, last))
}

// Parallel runs n tests in parallel unless the flag -parallel is set. It is for the
// TestMain of tests that wait for servers more than they compute.
func Parallel(n int) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", strconv.Itoa(n)) // every number is valid
	}
}

func run(m *testing.M, last []func() error) (code int) {
	folder, release, err := ownFolder()
	if err != nil {
		fmt.Fprintln(os.Stderr, "testservice: create a temporary directory:", err)
		return 1
	}
	defer release()
	code = m.Run()
	var left error
	for _, check := range last {
		left = errors.Join(left, check())
	}
	if shared.cluster != nil {
		left = errors.Join(left, shared.cluster.run.end(syscall.SIGQUIT))
	}
	if sharedRedis.server != nil {
		left = errors.Join(left, sharedRedis.server.run.end(syscall.SIGKILL))
	}
	if left = errors.Join(left, os.RemoveAll(folder)); left != nil {
		fmt.Fprintln(os.Stderr, "testservice: after the tests:", left)
		return 1
	}
	return code
}

// ownFolder creates the folder and makes this process and its children use it. Calling
// release lets the guard remove what is left of it.
func ownFolder() (folder string, release func(), err error) {
	// The name is short: the path of a Unix socket in the folder must fit in 104 bytes.
	if folder, err = openFolder("hf-"); err != nil {
		return "", nil, err
	}
	// PostgreSQL runs as another user if the tests run as root.
	if err := os.Chmod(folder, 0o711); err != nil {
		return "", nil, err
	}
	for _, name := range []string{"TMPDIR", "TMP", "TEMP"} { // for Unix and Windows
		if err := os.Setenv(name, folder); err != nil {
			return "", nil, err
		}
	}
	if err := os.Unsetenv("GOTMPDIR"); err != nil { // a test's TempDir prefers it
		return "", nil, err
	}
	release, err = guardFolder(folder)
	return folder, release, err
}
