//go:build unix

package testservice

import (
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// otherUser returns how to run a program as an existing unprivileged user if the tests
// run as root, which PostgreSQL refuses. It makes that user the owner of paths.
func otherUser(paths ...string) (*syscall.SysProcAttr, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	uid, gid, err := unprivileged()
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		if err := os.Chown(path, int(uid), int(gid)); err != nil {
			return nil, err
		}
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}, nil
}

func unprivileged() (uid, gid uint32, err error) {
	for _, name := range []string{"postgres", "nobody"} {
		account, err := user.Lookup(name)
		if err != nil {
			continue
		}
		u, errU := strconv.ParseUint(account.Uid, 10, 32)
		g, errG := strconv.ParseUint(account.Gid, 10, 32)
		if errU == nil && errG == nil && u != 0 {
			return uint32(u), uint32(g), nil
		}
	}
	return 0, 0, errors.New("no unprivileged user to run PostgreSQL as: neither postgres nor nobody exists")
}

// openFolder creates a temporary folder whose parents any user can pass through.
func openFolder(pattern string) (string, error) {
	for _, parent := range []string{os.TempDir(), "/tmp", "/var/tmp"} {
		if os.Geteuid() == 0 && !open(parent) {
			continue
		}
		if folder, err := os.MkdirTemp(parent, pattern); err == nil {
			return folder, nil
		}
	}
	return "", errors.New("no temporary directory that other users can access")
}

func open(folder string) bool {
	for {
		info, err := os.Stat(folder)
		if err != nil || info.Mode()&0o001 == 0 {
			return false
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return true
		}
		folder = parent
	}
}
