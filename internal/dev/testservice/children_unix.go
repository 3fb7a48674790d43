//go:build unix && !linux

package testservice

import (
	"bytes"
	"fmt"
	"os/exec"
)

// children lists the direct children of pid. PostgreSQL backends are in separate
// sessions, so a signal to a process group does not reach them.
func children(pid int) ([]int, error) {
	out, err := exec.Command("ps", "-A", "-o", "pid=,ppid=").Output()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var found []int
	for line := range bytes.Lines(out) {
		var child, parent int
		if _, err := fmt.Sscan(string(line), &child, &parent); err == nil && parent == pid {
			found = append(found, child)
		}
	}
	return found, nil
}
