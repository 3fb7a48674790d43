package repository_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/dev/campaign"
	"holdfast/internal/dev/repository"
	"holdfast/internal/dev/require"
	"holdfast/internal/product"
)

// keepTheName lists files and folders that a rename leaves unchanged.
var keepTheName = []string{"LICENSE", "go.sum", "docs/pictures", "docs/make-it-yours.md", "internal/dev/rename"}

// TestARenamedCopyBuildsAndPassesItsTests looks for the old name in a renamed copy. The
// campaign also builds and tests the copy, which takes about 30 s on an idle machine.
func TestARenamedCopyBuildsAndPassesItsTests(t *testing.T) {
	if testing.Short() {
		t.Skip("copies the repository, which is not short")
	}
	original := "hold" + "fast" // in two parts, so that a rename leaves it unchanged
	if product.Slug != original {
		t.Skip("this code has a name of its own already: there is nothing to rename")
	}
	// A longer name, of several words, and a path with dots and slashes.
	const name, slug, module = "Sea Farer of Kelp", "seafarerofkelp", "example.com/kelp.v2/seafarer"
	top := repository.Copy(t)
	rename := func(name, slug, module string) (string, error) {
		return repository.Try(t, ".", "run", "../rename", "-C", top, "-name", name, "-slug", slug, "-module", module)
	}
	if out, err := rename(name, slug, module); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := rename("Kelp", "kelp", "kelp"); err == nil {
		t.Errorf("it is renamed a second time: %s", out)
	}
	for _, file := range filesThatSay(t, top, regexp.MustCompile("(?i)"+original)) {
		t.Errorf("%s still has the old name", file)
	}
	t.Run("it passes its tests", func(t *testing.T) {
		campaign.Only(t)
		if out := repository.Go(t, top, "run", "./cmd/"+slug, "version"); !strings.HasPrefix(out, slug+" ") {
			t.Errorf("the program says %q", out)
		}
		if out := repository.Go(t, top, "fmt", "./..."); out != "" {
			t.Errorf("not formatted:\n%s", out)
		}
		repository.Go(t, top, "vet", "./...")
		repository.Go(t, top, "test", "-count=1", "-short",
			"./internal/product", "./internal/config", "./internal/form", "./internal/text", "./internal/password", "./internal/mail",
			"./internal/learn/trace", "./internal/dev/architecture", "./internal/dev/rename", "./internal/dev/repository")
		repository.Go(t, top, "test", "-count=1", "./web", "-run", "Cookie|Route|Page|Header|EveryStepNames|AWeakPassword|OneWrite|LearnsNothing|SenderHasGone")
	})
}

func filesThatSay(t *testing.T, top string, name *regexp.Regexp) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(top, func(at string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		file, err := filepath.Rel(top, at)
		if err != nil {
			return err
		}
		file = filepath.ToSlash(file)
		if slices.Contains(keepTheName, file) {
			if entry.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if name.MatchString(filepath.Base(file)) {
			found = append(found, file)
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		text, err := os.ReadFile(at)
		if err == nil && name.Match(text) {
			found = append(found, file)
		}
		return err
	})
	require.NoError(t, err)
	return found
}
