package config_test

import (
	"strings"
	"testing"

	"holdfast/internal/config"
	"holdfast/internal/dev/require"
)

func TestAnotherServerGetsTheSameSettings(t *testing.T) {
	_, c := mustParse(t, []string{
		"--host=127.0.0.1", "--port=0", "--redis-url=redis://u:p%40w@127.0.0.1:6379/1", "--session-store=file",
		"--session-idle-timeout=90m", "--session-lifetime=3d", "--trusted-proxies=10.0.0.0/8,192.0.2.7", "--log-level=warn", "--learn=off",
	}, nil, "")
	env := map[string]string{}
	for _, entry := range c.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		env[name] = value
	}
	_, again, err := config.Parse([]string{"serve"}, func(name string) string { return env[name] }, "", nil)
	require.NoError(t, err)
	if again.String() != c.String() || again.RedisURL != c.RedisURL {
		t.Errorf("it has\n%s\nwant\n%s", again, c)
	}
}

// TestAnArgumentThatIsNoTextIsRefused: kong would put U+FFFD in the place of such bytes.
func TestAnArgumentThatIsNoTextIsRefused(t *testing.T) {
	for _, args := range [][]string{{"users", "add", "--name", "D\xffda", "--email=a@b.example"}, {"users", "add", "--name=D\xffda", "--email=a@b.example"}} {
		if _, _, err := parse(t, args, nil, ""); err == nil || !strings.Contains(err.Error(), "UTF-8") {
			t.Errorf("%q: %v", args, err)
		}
	}
}
