package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/internal/config"
	"holdfast/internal/dev/require"
)

// parse calls Parse with args, an environment and the text of a .env file.
func parse(t *testing.T, args []string, environ map[string]string, dotenv string) (config.Command, config.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), ".env")
	if dotenv != "" {
		require.NoError(t, os.WriteFile(path, []byte(dotenv), 0o600))
	}
	return config.Parse(args, func(name string) string { return environ[name] }, path, new(bytes.Buffer))
}

func mustParse(t *testing.T, args []string, environ map[string]string, dotenv string) (config.Command, config.Config) {
	t.Helper()
	command, c, err := parse(t, args, environ, dotenv)
	require.NoError(t, err)
	return command, c
}

func TestNothingSetServesWithTheDefaults(t *testing.T) {
	command, c := mustParse(t, nil, nil, "")
	if command.Name != "serve" {
		t.Errorf("command is %q", command.Name)
	}
	for _, check := range []struct {
		name      string
		got, want any
	}{
		{"address", c.Address(), "localhost:3000"},
		{"base URL", c.BaseURL, "http://localhost:3000"},
		{"secure", c.Secure(), false},
		{"learn", c.Learn(), true},
		{"data folder", c.DataDir, ".data"},
		{"store", c.SessionStore, "redis"},
		{"idle timeout", c.SessionIdleTimeout, 24 * time.Hour},
		{"lifetime", c.SessionLifetime, 168 * time.Hour},
		{"remember lifetime", c.SessionRememberLifetime, 720 * time.Hour},
		{"shutdown timeout", c.ShutdownTimeout, 10 * time.Second},
		{"password length", c.PasswordMinLength, 15},
		{"passwords hashed at once", c.PasswordHashConcurrency, max(1, runtime.GOMAXPROCS(0)-1)},
		{"Redis connect timeout", c.RedisConnectTimeout, 250 * time.Millisecond},
		{"Redis timeout", c.RedisTimeout, 500 * time.Millisecond},
		{"database pool", c.DatabasePoolSize, 16},
		{"database timeout", c.DatabaseTimeout, 2 * time.Second},
		{"log level", c.LogLevel, slog.LevelInfo},
		{"log format", c.LogFormat, "text"},
		{"Redis", c.RedisURL, config.SecretURL("")},
		{"database", c.DatabaseURL, config.SecretURL("")},
	} {
		if check.got != check.want {
			t.Errorf("%s is %v, want %v", check.name, check.got, check.want)
		}
	}
}

func TestOneProcessorIsLeftByHashing(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for processors, want := range map[int]int{1: 1, 2: 1, 3: 2, 8: 7} {
		runtime.GOMAXPROCS(processors)
		if _, c := mustParse(t, nil, nil, ""); c.PasswordHashConcurrency != want {
			t.Errorf("%d processors: %d hashes at once, want %d", processors, c.PasswordHashConcurrency, want)
		}
		if _, c := mustParse(t, []string{"--password-hash-concurrency=5"}, nil, ""); c.PasswordHashConcurrency != 5 {
			t.Errorf("set to 5, it is %d", c.PasswordHashConcurrency)
		}
	}
}

func TestEverySettingIsReadBySomething(t *testing.T) {
	sources, err := filepath.Glob("../../cmd/*/*.go")
	require.NoError(t, err)
	var code []byte
	for _, source := range append(sources, "config.go") {
		if strings.HasSuffix(source, "_test.go") {
			continue
		}
		text, err := os.ReadFile(source)
		require.NoError(t, err)
		code = append(code, text...)
	}
	for field := range reflect.TypeFor[config.Config]().Fields() {
		if used := regexp.MustCompile(`\.` + field.Name + `\b`); field.IsExported() && !used.Match(code) {
			t.Errorf("nothing reads Config.%s: a setting that changes nothing must not be offered", field.Name)
		}
	}
}

func TestALineOfDotenvThatIsNoSettingIsIgnored(t *testing.T) {
	_, c := mustParse(t, nil, nil, "POP3_URL=not even an address\nMAIL_TO=nobody\nPORT=4000\n")
	if c.Port != 4000 || strings.Contains(c.String(), "nobody") {
		t.Errorf("got\n%s", c)
	}
}

func TestAFlagWinsOverTheEnvironmentOverTheFileOverTheDefault(t *testing.T) {
	for _, test := range []struct {
		name      string
		flag, env string
		file      string
		want      int
	}{
		{"default", "", "", "", 3000},
		{"file", "", "", "PORT=1", 1},
		{"environment", "", "2", "PORT=1", 2},
		{"flag", "--port=3", "2", "PORT=1", 3},
		{"an empty flag counts as none", "--port=", "2", "PORT=1", 2},
		{"an empty variable counts as none", "", "", "PORT=1", 1},
		{"an empty line counts as none", "", "", "PORT=", 3000},
	} {
		t.Run(test.name, func(t *testing.T) {
			var args []string
			if test.flag != "" {
				args = []string{test.flag}
			}
			_, c := mustParse(t, args, map[string]string{"PORT": test.env}, test.file)
			if c.Port != test.want {
				t.Errorf("port %d, want %d", c.Port, test.want)
			}
		})
	}
}

func TestEveryKindOfValueIsRead(t *testing.T) {
	_, c := mustParse(t, nil, map[string]string{
		"HOST":                 "::1",
		"PORT":                 "0",
		"BASE_URL":             "HTTPS://Login.Example.org:443/",
		"TRUSTED_PROXIES":      "10.0.0.0/8, 192.0.2.7,2001:db8::/32",
		"METRICS_ADDR":         "127.0.0.1:9090",
		"SESSION_LIFETIME":     "1d12h",
		"SESSION_IDLE_TIMEOUT": "1.5d",
		"SESSION_STORE":        "Memory",
		"LOG_LEVEL":            "WARN",
		"REDIS_URL":            "rediss://:p%40ss@redis.example.org:6380/2",
		"DATABASE_URL":         "postgresql://ada:secret@db1:5432,db2:5432/holdfast?sslmode=verify-full",
	}, "")
	if c.Address() != "[::1]:0" || c.BaseURL != "https://login.example.org" || !c.Secure() || c.Learn() {
		t.Errorf("address %s, base %s, secure %t, learn %t", c.Address(), c.BaseURL, c.Secure(), c.Learn())
	}
	networks := []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("2001:db8::/32"),
	}
	if !slices.Equal(c.TrustedProxies, networks) {
		t.Errorf("proxies %v", c.TrustedProxies)
	}
	if c.SessionLifetime != 36*time.Hour || c.SessionIdleTimeout != 36*time.Hour {
		t.Errorf("lifetime %s, idle %s", c.SessionLifetime, c.SessionIdleTimeout)
	}
	if c.SessionStore != "memory" || c.LogLevel != slog.LevelWarn {
		t.Errorf("store %s, level %s", c.SessionStore, c.LogLevel)
	}
	if c.RedisURL.Reveal() != "rediss://:p%40ss@redis.example.org:6380/2" {
		t.Error("REDIS_URL is not revealed as it was given")
	}
}

func TestCommandsTakeEverySetting(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"serve", "--port", "4000"}, "serve"},
		{[]string{"--port", "4000"}, "serve"},
		{[]string{"migrate", "--port=4000"}, "migrate"},
		{[]string{"--port=4000", "restart-check"}, "restart-check"},
		{[]string{"healthcheck", "--port=4000"}, "healthcheck"},
	} {
		command, c := mustParse(t, test.args, nil, "")
		if command.Name != test.want || c.Port != 4000 {
			t.Errorf("%q gives command %q, port %d", test.args, command.Name, c.Port)
		}
	}
}

func TestVersionWorksWhateverTheSettingsAre(t *testing.T) {
	command, _ := mustParse(t, []string{"version", "--port=x"}, map[string]string{"HOST": "a b"}, "broken")
	if command.Name != "version" {
		t.Errorf("command is %q", command.Name)
	}
}

func TestHelpNamesEverySettingWithVariableAndDefault(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"migrate", "--help"}, {"--help", "--port=x"}} {
		var out bytes.Buffer
		secret := func(string) string { return "redis://:sesame@h" }
		_, _, err := config.Parse(args, secret, "", &out)
		if !errors.Is(err, config.ErrHelp) {
			t.Fatalf("%q: %v", args, err)
		}
		text := strings.Join(strings.Fields(out.String()), " ")
		_, c := mustParse(t, nil, nil, "")
		for line := range strings.Lines(c.String()) {
			name, _, _ := strings.Cut(line, "=")
			flag := "--" + strings.ReplaceAll(strings.ToLower(name), "_", "-") + "="
			if !strings.Contains(text, flag) || !strings.Contains(text, "[$"+name+", default: ") {
				t.Errorf("%q: help lacks %s or [$%s, default: …]", args, flag, name)
			}
		}
		if strings.Contains(text, "sesame") {
			t.Errorf("%q: help shows a secret of the environment", args)
		}
	}
}

func TestTheCommandLineIsRefusedInWords(t *testing.T) {
	for _, args := range [][]string{
		{"--bogus"}, {"bogus"}, {"--port"}, {"--port", "--host=a"}, {"serve", "more"}, {"-x"},
	} {
		_, _, err := parse(t, args, nil, "")
		if err == nil || !strings.Contains(err.Error(), "--help") {
			t.Errorf("%q: %v", args, err)
		}
	}
}

func TestThePortThatTheSystemChoseMovesADerivedAddressOnly(t *testing.T) {
	_, c := mustParse(t, []string{"--port=0"}, nil, "")
	if got := c.WithPort(4711); got.BaseURL != "http://localhost:4711" || got.Address() != "localhost:4711" {
		t.Errorf("derived: %s, %s", got.BaseURL, got.Address())
	}
	_, c = mustParse(t, []string{"--port=0", "--base-url=https://example.org"}, nil, "")
	if got := c.WithPort(4711); got.BaseURL != "https://example.org" {
		t.Errorf("set: %s", got.BaseURL)
	}
}

func TestTheAddressForBrowsersFollowsHostAndPort(t *testing.T) {
	for args, want := range map[string]string{
		"--host=0.0.0.0":                 "http://localhost:3000",
		"--host=::":                      "http://localhost:3000",
		"--host=::1":                     "http://[::1]:3000",
		"--host=::1 --port=80":           "http://[::1]",
		"--host=box --port=80":           "http://box",
		"--base-url=http://Box:80":       "http://box",
		"--base-url=https://box:8443":    "https://box:8443",
		"--base-url=http://[::1]:3000":   "http://[::1]:3000",
		"--base-url=http://127.0.0.1:80": "http://127.0.0.1",
	} {
		if _, c := mustParse(t, strings.Fields(args), nil, ""); c.BaseURL != want {
			t.Errorf("%s gives %s, want %s", args, c.BaseURL, want)
		}
	}
}

func TestLearningIsOnForThisMachineOnly(t *testing.T) {
	for args, want := range map[string]bool{
		"":                 true,
		"--host=127.0.0.1": true,
		"--host=::1":       true,
		"--host=0.0.0.0":   false,
		"--host=192.0.2.7": false,
		"--host=0.0.0.0 --base-url=http://localhost": false, // as in a container
		"--host=0.0.0.0 --learn=on":                  true,
		"--base-url=https://app.localhost:8443":      true,
		"--base-url=http://127.9.9.9":                true,
		"--base-url=https://localhost.example.org":   false,
		"--base-url=https://example.org":             false,
		"--base-url=https://example.org --learn=on":  true,
		"--learn=off": false,
	} {
		if _, c := mustParse(t, strings.Fields(args), nil, ""); c.Learn() != want {
			t.Errorf("%q: learn is %t", args, c.Learn())
		}
	}
}

func TestASecretIsNotPrintedInAnyWay(t *testing.T) {
	_, c := mustParse(t, nil, map[string]string{
		"REDIS_URL":    "redis://user:sesame@h:6379/1",
		"DATABASE_URL": "postgres://u:sesame@h/d?sslpassword=sesame",
	}, "")
	var printed strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X"} {
		fmt.Fprintf(&printed, verb+"\n", c)
		fmt.Fprintf(&printed, verb+"\n", &c)
		fmt.Fprintf(&printed, verb+"\n", c.RedisURL)
		fmt.Fprintf(&printed, verb+"\n", []any{c.DatabaseURL, &c.DatabaseURL})
	}
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&printed, nil), slog.NewTextHandler(&printed, nil)} {
		slog.New(handler).Info("start", "config", c, "redis", c.RedisURL, "all", []any{c})
	}
	require.NoError(t, json.NewEncoder(&printed).Encode(c))
	printed.WriteString(c.String())
	for _, secret := range []string{"sesame", fmt.Sprintf("%x", "sesame"), fmt.Sprintf("%X", "sesame")} {
		if strings.Contains(printed.String(), secret) {
			t.Errorf("the secret is printed as %s", secret)
		}
	}
	for _, line := range []string{"REDIS_URL=redis://***@h:6379/1\n", "SESSION_LIFETIME=7d\n", "LOG_LEVEL=info\n"} {
		if !strings.Contains(c.String(), line) {
			t.Errorf("String lacks %q", line)
		}
	}
}
