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

// Main runs the tests of a package whose tests start processes, as the whole of
// its TestMain. All temporary files of the tests and of what they start go into
// one folder (TMPDIR), which is gone at the end, however the test process ends:
// on Unix a guard removes it when that process is killed. What last returns
// fails the tests.
func Main(m *testing.M, last ...func() error) {
	os.Exit(run(m, last))
}

// Parallel has n tests run in parallel unless -parallel says otherwise, for a
// TestMain of tests that wait for servers more than they compute.
func Parallel(n int) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", strconv.Itoa(n)) // it takes every number
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

// ownFolder makes the folder and has this process and its children use it. To
// release it is to let the guard look for what is left of it.
func ownFolder() (folder string, release func(), err error) {
	// A short name: the path of a unix socket in it has to fit 104 bytes.
	if folder, err = openFolder("hf-"); err != nil {
		return "", nil, err
	}
	// PostgreSQL runs as another user where the tests run as root.
	if err := os.Chmod(folder, 0o711); err != nil {
		return "", nil, err
	}
	for _, name := range []string{"TMPDIR", "TMP", "TEMP"} { // of Unix and Windows
		if err := os.Setenv(name, folder); err != nil {
			return "", nil, err
		}
	}
	if err := os.Unsetenv("GOTMPDIR"); err != nil { // TempDir of a test prefers it
		return "", nil, err
	}
	release, err = guardFolder(folder)
	return folder, release, err
}
