package pipeline_test

import (
	"testing"

	"holdfast/internal/dev/testservice"
)

func TestMain(m *testing.M) { testservice.Main(m) }
