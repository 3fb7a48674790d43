package config_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/config"
	"holdfast/internal/dev/require"
)

func TestTheFileIsReadAsPeopleWriteIt(t *testing.T) {
	for name, text := range map[string]string{
		"plain":               "PORT=4000",
		"spaces and comments": "# mine\n\n  PORT = 4000 # free here\n",
		"export":              "export PORT=4000\n",
		"quotes":              "PORT='4000'\n",
		"Windows line ends":   "HOST=localhost\r\nPORT=4000\r\n",
		"byte order mark":     "\xef\xbb\xbfPORT=4000\n",
		"last one wins":       "PORT=1\nPORT=4000\n",
		"unknown names":       "POSTGRES_PASSWORD=x\nPORT=4000\n",
		"lines in quotes":     "OTHER=\"a\nb\"\nPORT=4000\n",
	} {
		if _, c := mustParse(t, nil, nil, text); c.Port != 4000 {
			t.Errorf("%s: port %d", name, c.Port)
		}
	}
	_, c := mustParse(t, nil, nil, "REDIS_URL='redis://:p$s@h' # single quotes keep $ as it is\n")
	if c.RedisURL.Reveal() != "redis://:p$s@h" {
		t.Error("a value in single quotes changed")
	}
}

func TestABrokenFileIsRefusedByItsLineAndNeverQuoted(t *testing.T) {
	for _, test := range []struct{ text, line string }{
		{"PORT", "line 1:"},
		{"PORT=4000\nsesame\nHOST=a\n", "line 2:"},
		{"# a\n\nPORT=4000\nREDIS-URL=redis://:sesame@h\n", "line 4:"},
		{"PORT=4000\nDATABASE_URL=\"postgres://u:sesame@h\nHOST=a\n", "line 2:"},
		{"OTHER=\"a\nb\"\n?=sesame", "line 3:"},
	} {
		_, _, err := parse(t, nil, nil, test.text)
		if err == nil || !strings.Contains(err.Error(), ".env, "+test.line) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%q: %v", test.text, err)
		}
	}
	if _, _, err := parse(t, nil, nil, "\xff\xfeP\x00O\x00"); err == nil || !strings.Contains(err.Error(), "UTF-16") {
		t.Errorf("UTF-16: %v", err)
	}
	if _, _, err := config.Parse(nil, os.Getenv, t.TempDir(), new(bytes.Buffer)); err == nil {
		t.Error("a folder in the place of .env passes")
	}
}

func TestTheEnvironmentOfTheProcessStaysAsItIs(t *testing.T) {
	t.Setenv("HOST", "other")
	mustParse(t, nil, nil, "HOLDFAST_TEST_ONLY=1\nPORT=4000\n")
	if os.Getenv("HOLDFAST_TEST_ONLY") != "" {
		t.Error("the file changed the environment")
	}
	if _, c := mustParse(t, nil, nil, ""); c.Host != "localhost" {
		t.Error("the environment was read past getenv")
	}
}

var update = flag.Bool("update", false, "update .env.example")

func TestTheExampleListsEverySettingWithItsDefault(t *testing.T) {
	path := filepath.Join("..", "..", ".env.example")
	want := config.EnvExample()
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o644))
	}
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	if string(bytes.ReplaceAll(got, []byte("\r\n"), []byte("\n"))) != want {
		t.Error(".env.example differs from the settings; update it: go test ./internal/config -run Example -update")
	}
}

// TestTheContainerGetsEverySettingInDotEnv, except those that would disconnect it from
// its services and its port.
func TestTheContainerGetsEverySettingInDotEnv(t *testing.T) {
	compose, err := os.ReadFile(filepath.Join("..", "..", "compose.yaml"))
	require.NoError(t, err)
	_, app, _ := strings.Cut(string(compose), "\n  app:\n")
	app, _, _ = strings.Cut(app, "\n  postgres:\n")
	if !strings.Contains(app, "    env_file:\n      - path: .env\n        required: false\n") {
		t.Error("the container does not get .env")
	}
	_, environment, _ := strings.Cut(app, "    environment:\n")
	for _, set := range regexp.MustCompile(`(?m)^      ([A-Z_]+): (.*)$`).FindAllStringSubmatch(environment, -1) {
		fixed := slices.Contains([]string{"HOST", "PORT", "DATA_DIR", "DATABASE_URL", "REDIS_URL"}, set[1])
		if !fixed && !strings.HasPrefix(set[2], "${"+set[1]+":-") {
			t.Errorf("%s is not what .env sets: %s", set[1], set[2])
		}
	}
}

func TestTheExampleWithEveryLineTurnedOnGivesTheDefaults(t *testing.T) {
	var lines []string
	for line := range strings.Lines(config.EnvExample()) {
		if name, _, ok := strings.Cut(strings.TrimPrefix(line, "# "), "="); ok && name == strings.ToUpper(name) {
			lines = append(lines, strings.TrimPrefix(line, "# "))
		}
	}
	_, plain := mustParse(t, nil, nil, "")
	_, full := mustParse(t, nil, nil, strings.Join(lines, ""))
	if full.String() != plain.String() {
		t.Errorf("got\n%s\nwant\n%s", full, plain)
	}
	if want := strings.Count(plain.String(), "\n"); len(lines) != want {
		t.Errorf("%d lines, %d settings", len(lines), want)
	}
}
