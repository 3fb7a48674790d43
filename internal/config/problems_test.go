package config_test

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"holdfast/internal/config"
	"holdfast/internal/dev/require"
)

func TestAWrongValueIsRefusedByItsName(t *testing.T) {
	for setting, values := range map[string][]string{
		"HOST":                      {"a b", "localhost:3000", "[::1]", "http://localhost", "-a", strings.Repeat("a", 254), "a\x00b", "a\xffb"},
		"PORT":                      {"http", "-1", "65536", "3000.5", "0x50", "99999999999999999999"},
		"BASE_URL":                  {"localhost:3000", "ftp://a", "http://", "http://a/path", "http://a?q", "http://a?", "http://a#f", "http://a#", "http://u@a", "http://a:x", "http://a:", "//a", "http:a", "http://a b"},
		"TRUSTED_PROXIES":           {"10.0.0.0/33", "10.0.0.1/8", "proxy", "10.0.0.0/8,,x", "fe80::1%eth0"},
		"METRICS_ADDR":              {"9090", "a:b", "a b:1", "localhost", "localhost:65536", "localhost:"},
		"SHUTDOWN_TIMEOUT":          {"10", "-1s", "0s", "0", "1ns", "soon", "2h", "1y"},
		"SESSION_IDLE_TIMEOUT":      {"-7d", "7d-1h", "1e9d", "401d", "999ms", "d", "1d1", "99999d99999h"},
		"SESSION_LIFETIME":          {"0d", "99999999999999999999999d"},
		"SESSION_REMEMBER_LIFETIME": {"week"},
		"DATA_DIR":                  {"'.data'", `".data"`, "a\x00b"},
		"MAIL_FROM":                 {`"a@b.c"`},
		"DATABASE_URL":              {"'postgres://u:sesame@h/d'", "mysql://u:sesame@h/d", "h:5432", "postgres://", "postgres://u:sesame", "postgres://u:ses/ame@h/d", "postgres://u:ses#ame@h/d", "postgres:u:sesame@h", "user=u password=sesame", "postgres://u:sesame@h:port/d", "postgres://u:ses%zzame@h"},
		"DATABASE_POOL_SIZE":        {"0", "-1", "10001", "many"},
		"DATABASE_TIMEOUT":          {"2"},
		"PASSWORD_MIN_LENGTH":       {"7", "257"},
		"PASSWORD_HASH_CONCURRENCY": {"0", "-1", "1025", "all"},
		"SESSION_STORE":             {"disk", "redis,memory"},
		"REDIS_URL": {"http://h", "redis://", "redis://u:sesame@", "redis://u:sesame@h/zero", "redis://u:sesame@h/0?x=1", "redis://:ses?ame@h", "localhost:6379", "redis://h:6379:1", "redis:///0",
			"unix://", "unix:///", "unix://redis.sock", "unix:redis.sock", "unix://h/redis.sock", "unix:///redis.sock/?db=zero", "unix:///redis.sock?db=1&x=2", "unix:///a#b", "unix://u:ses#ame@/redis.sock", "unix:///" + strings.Repeat("a", 103)},
		"REDIS_CONNECT_TIMEOUT": {"250"},
		"REDIS_TIMEOUT":         {"1h"},
		"LEARN":                 {"yes"},
		"LOG_LEVEL":             {"loud", "info+2"},
		"LOG_FORMAT":            {"xml"},
	} {
		for _, value := range values {
			_, _, err := parse(t, nil, map[string]string{setting: value}, "")
			var problems config.Problems
			if !errors.As(err, &problems) || len(problems) != 1 || problems[0].Setting != setting {
				t.Errorf("%s=%q: %v", setting, value, err)
				continue
			}
			if problems[0].Source != "environment" || problems[0].Need == "" {
				t.Errorf("%s=%q: source %q, need %q", setting, value, problems[0].Source, problems[0].Need)
			}
			if text := err.Error(); strings.Contains(text, "ses") && strings.Contains(text, "ame") {
				t.Errorf("%s: the message repeats a password: %v", setting, err)
			}
		}
	}
}

func TestAllWrongValuesAreNamedAtOnce(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile(".env", []byte("SESSION_STORE=disk\n"), 0o600))
	environ := map[string]string{"LOG_FORMAT": "xml", "SESSION_LIFETIME": "31d"}
	_, _, err := config.Parse(
		[]string{"--port=http", "--redis-url=http://ada:sesame@cache:6379"},
		func(name string) string { return environ[name] }, ".env", io.Discard)
	want := `5 invalid settings:
  PORT is "http" (flag --port): must be a whole number from 0 to 65535
  SESSION_STORE is "disk" (.env): must be one of redis, memory, file, database
  REDIS_URL is "http://***@cache:6379" (flag --redis-url): must be a URL that starts with redis:// or rediss:// and has a host; in passwords, write @ as %40, / as %2F and : as %3A
  LOG_FORMAT is "xml" (environment): must be one of text, json
  SESSION_LIFETIME: 31d must not exceed SESSION_REMEMBER_LIFETIME (30d)`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestSettingsThatContradictEachOtherAreRefused(t *testing.T) {
	for args, setting := range map[string]string{
		"--session-lifetime=31d":                            "SESSION_LIFETIME",
		"--session-remember-lifetime=6d":                    "SESSION_LIFETIME",
		"--metrics-addr=127.0.0.1:3000":                     "METRICS_ADDR",
		"--metrics-addr=:4000 --port=4000 --host=localhost": "METRICS_ADDR",
	} {
		_, _, err := parse(t, strings.Fields(args), nil, "")
		var problems config.Problems
		if !errors.As(err, &problems) || len(problems) != 1 || problems[0].Setting != setting {
			t.Errorf("%s: %v", args, err)
		}
	}
	for _, args := range []string{
		"--session-idle-timeout=8d", // never reached, but harmless
		"--session-lifetime=30d",
		"--port=0 --metrics-addr=127.0.0.1:0",
	} {
		if _, _, err := parse(t, strings.Fields(args), nil, ""); err != nil {
			t.Errorf("%s: %v", args, err)
		}
	}
}

func TestASecretGivenWhereNoneBelongsIsNotRepeated(t *testing.T) {
	for _, args := range [][]string{
		{"redis://:sesame@h"},
		{"--redis=redis://:sesame@h"},
		{"--base-url=http://u:sesame@h"},
		{"--metrics-addr=redis://:sesame@h"},
	} {
		if _, _, err := parse(t, args, nil, ""); err == nil || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%q: %v", args, err)
		}
	}
}

func TestAPasswordWithAnySignInItIsHidden(t *testing.T) {
	for _, sign := range " !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~" {
		password := "sesa" + string(sign) + "q7zv"
		for setting, value := range map[string]string{
			"REDIS_URL":    "redis://:" + password + "@h:6379/0",
			"DATABASE_URL": "postgres://u:" + password + "@h/d",
			"BASE_URL":     "http://u:" + password + "@h",
		} {
			_, c, err := parse(t, nil, map[string]string{setting: value}, "")
			text := c.String()
			if err != nil {
				text = err.Error()
			}
			if strings.Contains(text, "sesa") || strings.Contains(text, "q7zv") {
				t.Errorf("%s, password with %q: %s", setting, sign, text)
			}
		}
		_, _, err := parse(t, []string{"redis://:" + password + "@h"}, nil, "")
		if err == nil || strings.Contains(err.Error(), "sesa") || strings.Contains(err.Error(), "q7zv") {
			t.Errorf("on the command line, password with %q: %v", sign, err)
		}
	}
}
