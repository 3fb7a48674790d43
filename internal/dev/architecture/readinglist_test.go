package architecture

import (
	"regexp"
	"strings"
	"testing"
)

// The limits of the reading list in the README: so many lines can be read in an
// afternoon, and a list with fewer files was not found.
const (
	maxListLines = 2500
	minListFiles = 10
)

func TestTheReadingListFitsInAnAfternoon(t *testing.T) {
	_, chapter, found := strings.Cut(read(t, "README.md"), "\n## Read it in an afternoon\n")
	if !found {
		t.Fatal("README.md has no chapter \"Read it in an afternoon\"")
	}
	chapter, _, _ = strings.Cut(chapter, "\n## ")
	files := regexp.MustCompile("(?m)^\\d+\\. `([^`]+)`").FindAllStringSubmatch(chapter, -1)
	if len(files) < minListFiles {
		t.Errorf("the reading list of README.md has %d files, want at least %d", len(files), minListFiles)
	}
	total := 0
	for _, file := range files {
		if !exists(file[1]) {
			t.Errorf("README.md lists %s, which does not exist", file[1])
			continue
		}
		total += strings.Count(read(t, file[1]), "\n")
	}
	if total > maxListLines {
		t.Errorf("the reading list of README.md has %d lines, want at most %d", total, maxListLines)
	}
}
