package web_test

import (
	"testing"

	"holdfast/internal/dev/testservice"
)

func TestMain(m *testing.M) {
	testservice.Parallel(4)
	testservice.Main(m)
}
