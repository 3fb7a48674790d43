package password_test

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/dev/require"
	"holdfast/internal/password"
)

// breachedFile writes a file of these passwords in the format of Have I Been Pwned.
func breachedFile(t *testing.T, end string, passwords ...string) string {
	t.Helper()
	var lines []string
	for n, p := range passwords {
		lines = append(lines, fmt.Sprintf("%X:%d", sha1.Sum([]byte(p)), n*n*n+1))
	}
	slices.Sort(lines)
	path := filepath.Join(t.TempDir(), "breached.txt")
	require.NoError(t, os.WriteFile(path, []byte(strings.Join(lines, end)+end), 0o600))
	return path
}

func openBreached(t *testing.T, path string) *password.Breached {
	t.Helper()
	b, err := password.OpenBreached(path)
	require.NoError(t, err)
	t.Cleanup(func() { b.Close() })
	return b
}

func TestEveryBreachedPasswordIsFoundAndNoOther(t *testing.T) {
	for _, end := range []string{"\n", "\r\n"} {
		for _, size := range []int{1, 2, 3, 1000} {
			var all []string
			for n := range size {
				all = append(all, fmt.Sprintf("breached password %d", n))
			}
			b := openBreached(t, breachedFile(t, end, all...))
			for n, p := range all {
				if has, err := b.Has(p); err != nil || !has {
					t.Fatalf("%d of %d: %v, %v", n, size, has, err)
				}
				if has, err := b.Has(p + "!"); err != nil || has {
					t.Fatalf("none of %d: %v, %v", size, has, err)
				}
			}
		}
	}
}

func TestABreachedPasswordIsRefusedInEitherUnicodeForm(t *testing.T) {
	policy := password.Policy{Breached: openBreached(t, breachedFile(t, "\r\n", "caf\u00e9 au lait, twice", "something else entirely"))}
	for _, p := range []string{"caf\u00e9 au lait, twice", "cafe\u0301 au lait, twice"} {
		var weak *password.Weak
		if err := policy.Check(p); !errors.As(err, &weak) || !strings.Contains(weak.Reason, "breach") {
			t.Errorf("%q: %v", p, err)
		}
	}
	if err := policy.Check("caf\u00e9 au lait, thrice"); err != nil {
		t.Error(err)
	}
}

func TestAFileThatIsNoneOfBreachedPasswordsIsRefused(t *testing.T) {
	hash := fmt.Sprintf("%X", sha1.Sum([]byte("x")))
	for name, text := range map[string]string{
		"empty": "", "prose": strings.Repeat("This is no such file. ", 20), "NTLM": "0000000000000000000000000000000F:1\n",
		"small letters": strings.ToLower(hash) + ":1\n", "ordered by count": "F" + hash[1:] + ":9\n0" + hash[1:] + ":1\n", "no count": hash + "\n",
	} {
		path := filepath.Join(t.TempDir(), "f")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		if b, err := password.OpenBreached(path); !errors.Is(err, password.ErrBreachedFile) {
			t.Errorf("%s: %v, %v", name, b, err)
		}
	}
	if _, err := password.OpenBreached(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := password.OpenBreached(t.TempDir()); err == nil {
		t.Error("a folder is taken")
	}
}

func TestAFileThatCannotBeReadAcceptsNoPassword(t *testing.T) {
	path := breachedFile(t, "\n", "one", "two", "three")
	policy := password.Policy{Breached: openBreached(t, path)}
	require.NoError(t, os.Truncate(path, 10))
	var weak *password.Weak
	if err := policy.Check("nine kelp forests at dawn"); err == nil || errors.As(err, &weak) {
		t.Errorf("accepted or blamed on the person: %v", err)
	}
}
