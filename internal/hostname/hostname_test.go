package hostname_test

import (
	"testing"

	"holdfast/internal/hostname"
)

func TestALoopbackNameIsThisMachine(t *testing.T) {
	for name, want := range map[string]bool{
		"localhost": true, "LocalHost.": true, "a.localhost": true, "127.0.0.1": true, "127.8.9.1": true, "::1": true, "::ffff:127.0.0.1": true,
		"": false, "localhost.example": false, "notlocalhost": false, "10.0.0.1": false, "::": false, "example.org": false,
	} {
		if hostname.IsLoopback(name) != want {
			t.Errorf("IsLoopback(%q) is not %v", name, want)
		}
	}
}
