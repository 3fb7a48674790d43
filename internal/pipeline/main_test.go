package pipeline_test

import (
	"errors"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"holdfast/internal/dev/testservice"
)

// TestMain fails if a closed client has left a goroutine running.
func TestMain(m *testing.M) {
	testservice.Main(m, func() error {
		for deadline := time.Now().Add(ample); ; time.Sleep(time.Millisecond) {
			var stacks strings.Builder
			if err := pprof.Lookup("goroutine").WriteTo(&stacks, 2); err != nil {
				return err
			}
			if !strings.Contains(stacks.String(), "pipeline.(*Client)") {
				return nil
			}
			if time.Now().After(deadline) {
				return errors.New("goroutines of clients are left:\n" + stacks.String())
			}
		}
	})
}
