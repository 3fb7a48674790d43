package testservice

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// children lists the direct children of pid. PostgreSQL backends are in separate
// sessions, so a signal to a process group does not reach them.
func children(pid int) (found []int, err error) {
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil, err
	}
	for _, list := range lists {
		ids, err := os.ReadFile(list)
		if err != nil {
			return nil, err
		}
		for id := range strings.FieldsSeq(string(ids)) {
			child, err := strconv.Atoi(id)
			if err != nil {
				return nil, err
			}
			found = append(found, child)
		}
	}
	return found, nil
}
