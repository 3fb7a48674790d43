package restartcheck

import (
	"strings"
	"testing"
	"time"
)

func report() Report {
	return Report{Sessions: 10_000, Rows: []Row{
		{Store: "redis", Before: "Hello, Ada!", AfterRestart: "Hello, Ada!", AfterKill: "Hello, Ada!", Shared: true, Copies: &Copies{},
			MemoryGrowth: -1500, SessionSize: 280, Greeting: 586 * time.Microsecond},
		{Store: "memory", Before: "Hello, Ada!", Copies: &Copies{LogOut: true},
			MemoryGrowth: 2_660_000, SessionSize: 1266, Greeting: 380 * time.Microsecond},
	}}
}

func TestTheReportIsAnAlignedTableAndASentenceAStore(t *testing.T) {
	want := `store   before       after restart  after kill -9  second server  copied cookie  memory for 10000 sessions  size per session  time per page
redis   Hello, Ada!  Hello, Ada!    Hello, Ada!    recognised     ended          no growth                  280 B             0.59 ms
memory  Hello, Ada!  logged out     logged out     logged out     still works    +2.7 MB                    1.3 kB            0.38 ms

`
	table, sentences, _ := strings.Cut(asText(report()), "redis: ")
	if table != want {
		t.Errorf("got\n%s\nwant\n%s", table, want)
	}
	if strings.Count(sentences, "\n") != 2 || !strings.Contains(sentences, "\nmemory: ") {
		t.Errorf("sentences: %s", sentences)
	}
}

func TestTheReportInMarkdownIsATableAndAList(t *testing.T) {
	said := asMarkdown(report())
	lines := strings.Split(said, "\n")
	for i, columns := range []int{10, 10, 10, 10} {
		if strings.Count(lines[i], "|") != columns {
			t.Errorf("line %d: %s", i+1, lines[i])
		}
	}
	if lines[1] != strings.Repeat("| --- ", 9)+"|" || lines[4] != "" || !strings.HasPrefix(lines[5], "- redis: ") {
		t.Errorf("got\n%s", said)
	}
}
