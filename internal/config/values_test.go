package config_test

import (
	"bytes"
	"errors"
	"maps"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/internal/config"
	"holdfast/internal/dev/require"
	"holdfast/internal/product"
)

// refusal returns the message about one setting with this value, or "" if it is
// accepted.
func refusal(t *testing.T, setting, value string) string {
	t.Helper()
	environ := map[string]string{"SESSION_REMEMBER_LIFETIME": "400d"} // no other lifetime may be longer
	environ[setting] = value
	_, _, err := parse(t, nil, environ, "")
	var problems config.Problems
	if errors.As(err, &problems) {
		for _, problem := range problems {
			if problem.Setting == setting {
				return problem.Need
			}
		}
	}
	return ""
}

func TestTheLeastAndTheMostOfASettingAreTakenAndNoMore(t *testing.T) {
	upper := regexp.MustCompile(`[A-Z]+[a-z]*`)
	tried := 0
	for field := range reflect.TypeFor[config.Config]().Fields() {
		least, most := field.Tag.Get("min"), field.Tag.Get("max")
		if least == "" {
			continue
		}
		tried++
		setting := strings.ToUpper(strings.Join(upper.FindAllString(field.Name, -1), "_"))
		// Just outside the limits: one smallest unit less, and one more.
		below, above := "0", ""
		if field.Type == reflect.TypeFor[time.Duration]() {
			d, err := time.ParseDuration(least)
			require.NoError(t, err)
			below, above = (d - 1).String(), most+"1ns"
		} else {
			low, err1 := strconv.Atoi(least)
			high, err2 := strconv.Atoi(most)
			require.NoError(t, errors.Join(err1, err2))
			below, above = strconv.Itoa(low-1), strconv.Itoa(high+1)
		}
		for value, taken := range map[string]bool{least: true, most: true, below: false, above: false} {
			want := ""
			if !taken {
				want = "from " + least + " to " + most
			}
			if said := refusal(t, setting, value); said != want && (taken || !strings.HasSuffix(said, want)) {
				t.Errorf("%s=%s: %q, want %q", setting, value, said, want)
			}
		}
	}
	if tried == 0 {
		t.Error("no setting has a least and a most value")
	}
}

func TestADurationHasDaysAndIsNeverTooLongToCount(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1d": 24 * time.Hour, "1d0s": 24 * time.Hour, "0.5d": 12 * time.Hour, "1d1ns": 24*time.Hour + 1, "36h": 36 * time.Hour,
	} {
		if _, c := mustParse(t, nil, map[string]string{"SESSION_REMEMBER_LIFETIME": "400d", "SESSION_IDLE_TIMEOUT": "1s", "SESSION_LIFETIME": text}, ""); c.SessionLifetime != want {
			t.Errorf("%s is %s, want %s", text, c.SessionLifetime, want)
		}
	}
	for text, want := range map[string]string{
		"100000d": "must be a duration from ", "106752d": "must be a duration, such as", "100000d999999h": "must be a duration, such as", "1d+1h": "must be a duration, such as",
	} {
		if said := refusal(t, "SESSION_LIFETIME", text); !strings.HasPrefix(said, want) {
			t.Errorf("%s: %q, want %q …", text, said, want)
		}
	}
}

func TestADurationIsShownAsItWouldBeWritten(t *testing.T) {
	for _, text := range []string{"24h", "2d", "36h", "47h", "48h0m1s", "1h30m", "1m", "90m0.5s", "1s", "3d"} {
		_, c := mustParse(t, nil, map[string]string{"SESSION_LIFETIME": "30d", "SESSION_IDLE_TIMEOUT": text}, "")
		want := map[string]string{"90m0.5s": "1h30m0.5s"}[text]
		if want == "" {
			want = text
		}
		if !strings.Contains(c.String(), "SESSION_IDLE_TIMEOUT="+want+"\n") {
			t.Errorf("%s is shown in\n%s", text, c)
		}
	}
}

func TestALongHostNameIsTaken(t *testing.T) {
	longest := strings.Repeat("a.", 126) + "a"
	if said := refusal(t, "HOST", longest); len(longest) != 253 || said != "" {
		t.Errorf("%d bytes: %q", len(longest), said)
	}
}

func TestNothingStandsAfterTheAddressOfAMailServer(t *testing.T) {
	from := map[string]string{"MAIL_FROM": "Holdfast <login@example.org>"}
	for value, taken := range map[string]bool{
		"smtp://mail": true, "smtp://mail:25/": true, "smtp://mail/x": false, "smtp://mail?x=1": false, "smtp://mail/?x=1": false,
	} {
		environ := maps.Clone(from)
		environ["SMTP_URL"] = value
		_, _, err := parse(t, nil, environ, "")
		if taken != (err == nil) || err != nil && !strings.Contains(err.Error(), "must end after the host and port") {
			t.Errorf("%s: %v", value, err)
		}
	}
}

func TestHelpSaysWhatKindOfValueASettingTakes(t *testing.T) {
	var out bytes.Buffer
	if _, _, err := config.Parse([]string{"--help"}, func(string) string { return "" }, "", &out); !errors.Is(err, config.ErrHelp) {
		t.Fatal(err)
	}
	for _, want := range []string{
		"--host=TEXT ", "--port=NUMBER ", "--shutdown-timeout=DURATION", "--redis-url=URL", "--log-format=text|json", "--learn=auto|on|off",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("help lacks %q:\n%s", want, out.String())
		}
	}
}

func TestOfAnAddressAllButTheSecretIsShown(t *testing.T) {
	for raw, want := range map[config.SecretURL]string{
		"redis://@h:6379/0":                       "redis://***@h:6379/0",
		"postgres://?host=/run&password=sesame":   "postgres://?***",
		"postgres://u:sesame@h/d?sslmode=disable": "postgres://***@h/d?***",
		"postgres://h1:5432,h2:5432/d#sesame":     "postgres://h1:5432,h2:5432/d#***",
		"redis://sesame:no:host":                  "redis://***",
	} {
		if got := raw.String(); got != want {
			t.Errorf("%s is shown as %s, want %s", raw.Reveal(), got, want)
		}
	}
}

// TestADirectoryThatOnlyAShellUnderstandsIsRefused: the directory would really have
// that name.
func TestADirectoryThatOnlyAShellUnderstandsIsRefused(t *testing.T) {
	for value, want := range map[string]string{
		"~/data": "without ~", ".data ": "must not begin or end with a space", " /data": "must not begin or end with a space", "/data": "", "da ta~": "",
	} {
		if said := refusal(t, "DATA_DIR", value); (said == "") != (want == "") || !strings.Contains(said, want) {
			t.Errorf("%q: %q, want %q", value, said, want)
		}
	}
}

func TestTheNameOfACookieIsAToken(t *testing.T) {
	for value, taken := range map[string]bool{
		"session": true, "connect.sid": true, strings.Repeat("k", 64): true, "_k": true,
		strings.Repeat("k", 65): false, "two words": false, "k=v": false, "k;v": false, `"k"`: false, "k(v)": false, "kélp": false,
		"__Host-kelp": false, "__secure-kelp": false, product.DeviceCookie: false, product.PartingCookie: false,
	} {
		if said := refusal(t, "SESSION_COOKIE", value); (said == "") != taken {
			t.Errorf("SESSION_COOKIE=%s: %q", value, said)
		}
	}
}
