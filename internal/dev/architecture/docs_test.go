package architecture

import (
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/dev/require"
)

const top = "../../.." // of the repository

// documents returns the README and everything in docs, by path.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{"README.md": read(t, "README.md")}
	walk(t, "docs", func(name string) {
		if strings.HasSuffix(name, ".md") {
			texts[name] = read(t, name)
		}
	})
	if len(texts) < 10 {
		t.Fatalf("only %d documents", len(texts))
	}
	return texts
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(top, name))
	require.NoError(t, err)
	return string(text)
}

// walk visits every file below folder, by its path from the top.
func walk(t *testing.T, folder string, visit func(name string)) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(top), folder, func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			visit(name)
		}
		return err
	})
	require.NoError(t, err)
}

func exists(name string) bool {
	_, err := os.Stat(filepath.Join(top, name))
	return err == nil
}

func TestEveryTestNamedInTheDocumentsExists(t *testing.T) {
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Z]\w*)\(`)
	known := map[string]bool{}
	for _, folder := range []string{"cmd", "web", "internal"} {
		walk(t, folder, func(name string) {
			if strings.HasSuffix(name, "_test.go") {
				for _, found := range declared.FindAllStringSubmatch(read(t, name), -1) {
					known[found[1]] = true
				}
			}
		})
	}
	texts := documents(t)
	for _, text := range texts { // a document may show a test to write
		for _, found := range declared.FindAllStringSubmatch(text, -1) {
			known[found[1]] = true
		}
	}
	named := 0
	for name, text := range texts {
		for _, found := range regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w*`).FindAllString(text, -1) {
			named++
			if !known[found] {
				t.Errorf("%s names %s, which is no test", name, found)
			}
		}
	}
	if named < 100 {
		t.Errorf("only %d tests are named", named)
	}
}

func TestEveryFileNamedInTheDocumentsExists(t *testing.T) {
	file := regexp.MustCompile("`(\\.?[a-z][\\w./-]*\\.(?:go|md|mod|sql|html|css|js|yaml|example|png))`")
	for name, text := range documents(t) {
		for _, found := range file.FindAllStringSubmatch(text, -1) {
			if !exists(found[1]) {
				t.Errorf("%s names the file %s, which is not there", name, found[1])
			}
		}
	}
}

// foreign lists variables that programs other than Holdfast read.
var foreign = []string{"CGO_ENABLED", "HOLDFAST_REQUIRE_SERVICES", "POSTGRES_PASSWORD", "REDIS_PASSWORD", "SSL_CERT_FILE"}

func TestEverySettingNamedInTheDocumentsExists(t *testing.T) {
	known := slices.Clone(foreign)
	for _, found := range regexp.MustCompile(`(?m)^(?:# )?([A-Z][A-Z_]*)=`).FindAllStringSubmatch(read(t, ".env.example"), -1) {
		known = append(known, found[1])
	}
	for name, text := range documents(t) {
		for _, found := range regexp.MustCompile(`\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b`).FindAllString(text, -1) {
			if !slices.Contains(known, found) {
				t.Errorf("%s names %s, which is no setting", name, found)
			}
		}
	}
}

func TestEveryLinkInTheDocumentsLeadsSomewhere(t *testing.T) {
	texts := documents(t)
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for name, text := range texts {
		for _, found := range link.FindAllStringSubmatch(text, -1) {
			target, err := url.Parse(found[1])
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if target.Scheme != "" {
				continue
			}
			to := name
			if target.Path != "" {
				to = path.Join(path.Dir(name), target.Path)
			}
			if !exists(to) {
				t.Errorf("%s links to %s, which is not there", name, found[1])
			} else if target.Fragment != "" && !slices.Contains(anchors(texts[to]), target.Fragment) {
				t.Errorf("%s links to %s, where no heading is called that", name, found[1])
			}
		}
	}
}

// anchors returns the headings as links spell them.
func anchors(text string) []string {
	var all []string
	for _, found := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		plain := regexp.MustCompile(`[^\w -]`).ReplaceAllString(strings.ToLower(found[1]), "")
		all = append(all, strings.ReplaceAll(plain, " ", "-"))
	}
	return all
}

func TestThePicturesAreLight(t *testing.T) {
	most, bytes := int64(1_600_000), int64(0)
	walk(t, "docs/pictures", func(name string) {
		info, err := os.Stat(filepath.Join(top, name))
		require.NoError(t, err)
		bytes += info.Size()
	})
	if bytes > most {
		t.Errorf("the pictures take %d bytes, want at most %d", bytes, most)
	}
}

func TestEveryRequirementIsAnsweredOnce(t *testing.T) {
	text := read(t, "docs/security.md")
	for letter, last := range map[string]int{"S": 96, "F": 35} {
		for number := 1; number <= last; number++ {
			row := fmt.Sprintf("\n| %s%02d | ", letter, number)
			if found := strings.Count(text, row); found != 1 {
				t.Errorf("%s%02d has %d rows", letter, number, found)
			}
		}
	}
}
