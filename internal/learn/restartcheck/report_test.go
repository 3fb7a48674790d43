package restartcheck_test

import (
	"math"
	"strings"
	"testing"

	"holdfast/internal/learn/restartcheck"
)

const hello = "Hello, Ada!"

// kept returns the row of a store that kept the session.
func kept(store string) restartcheck.Row {
	return restartcheck.Row{Store: store, Before: hello, AfterRestart: hello, AfterKill: hello, Shared: true}
}

// asItShouldBe returns the report of a check in which every store worked as intended.
func asItShouldBe() restartcheck.Report {
	return restartcheck.Report{Sessions: 10_000, Rows: []restartcheck.Row{
		kept("redis"), kept("file"), kept("database"),
		{Store: "memory", Before: hello, MemoryGrowth: 3_000_000},
	}}
}

func TestAReportAsItShouldBePasses(t *testing.T) {
	if err := asItShouldBe().Verdict(); err != nil {
		t.Error(err)
	}
}

func TestAReportThatIsNotAsItShouldBeFailsAndNamesTheStore(t *testing.T) {
	const redis, file, database, memory = 0, 1, 2, 3
	for _, test := range []struct {
		place int
		row   restartcheck.Row
		want  string
	}{
		{memory, kept("memory"), "memory: the session unexpectedly survived"},
		{memory, restartcheck.Row{Store: "memory", Before: hello, AfterKill: hello}, "memory: the session unexpectedly survived"},
		{memory, restartcheck.Row{Store: "memory"}, "memory: not logged in"},
		{redis, restartcheck.Row{Store: "redis", Before: hello, AfterKill: hello}, "redis: the session was lost on restart"},
		{redis, restartcheck.Row{Store: "redis"}, "redis: not logged in"},
		{file, restartcheck.Row{Store: "file", Before: hello, AfterRestart: hello}, "file: the session was lost on kill -9"},
		{database, restartcheck.Row{Store: "database", Before: hello, AfterRestart: "Hello, Bob!", AfterKill: hello}, "database: the session was lost on restart"},
		{file, restartcheck.Row{}, "file was not tested"},
	} {
		report := asItShouldBe()
		report.Rows[test.place] = test.row
		if err := report.Verdict(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: verdict %v, want one with %q", test.row, err, test.want)
		}
	}
}

func TestEachRowIsPutIntoWords(t *testing.T) {
	report := asItShouldBe()
	for _, test := range []struct {
		row  restartcheck.Row
		want string
	}{
		{report.Rows[0], "redis: sessions survive a restart and a crash; " +
			"a second server recognises the same cookie; server memory does not grow with the number of sessions."},
		{report.Rows[3], "memory: everyone is logged out when the server restarts; " +
			"a second server recognises no one; server memory grows by 300 bytes per session."},
		{restartcheck.Row{Store: "file", Before: hello, AfterRestart: hello, Refusal: "the file is held", MemoryGrowth: -9},
			"file: sessions survive a restart but not a crash; " +
				"only one server at a time can use it; server memory does not grow with the number of sessions."},
		{restartcheck.Row{Store: "redis", Before: hello, AfterRestart: hello, Shared: true, MemoryGrowth: 100 * int64(report.Sessions), MemoryNoise: 101 * int64(report.Sessions)},
			"redis: sessions survive a restart but not a crash; " +
				"a second server recognises the same cookie; server memory does not grow with the number of sessions."},
		{restartcheck.Row{Store: "redis", Before: hello, AfterKill: hello, Shared: true},
			"redis: sessions survive a crash but not a restart; " +
				"a second server recognises the same cookie; server memory does not grow with the number of sessions."},
		{restartcheck.Row{Store: restartcheck.JWT, Before: hello, AfterRestart: hello, AfterKill: hello, Shared: true, Copies: &restartcheck.Copies{LogOut: true, Password: true}},
			"jwt: sessions survive a restart and a crash; a second server recognises the same cookie; a copied cookie works until it expires, whatever its owner does."},
		{restartcheck.Row{Store: "memory", Before: hello, Copies: &restartcheck.Copies{}},
			"memory: everyone is logged out when the server restarts; a second server recognises no one; " +
				"a copied cookie stops working at logout and at a new password; server memory does not grow with the number of sessions."},
	} {
		if got := report.Sentence(test.row); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
	report.Sessions = 100
	if got := report.Sentence(report.Rows[3]); strings.Contains(got, "grow") {
		t.Errorf("%s: 100 sessions are too few to measure growth", got)
	}
}

func TestGrowthIsTheLineThatFitsBest(t *testing.T) {
	x := []float64{0, 1, 2, 3, 4, 5}
	if slope, deviation := restartcheck.Fit(x, []float64{7, 9, 11, 13, 15, 17}); slope != 2 || deviation > 1e-9 {
		t.Errorf("of a line: %v, %v", slope, deviation)
	}
	slope, deviation := restartcheck.Fit(x, []float64{1, -1, 1, -1, 1, -1})
	if math.Abs(slope+6.0/35) > 1e-9 || slope > 0 || math.Abs(slope) > 3*deviation {
		t.Errorf("of noise: %v, %v", slope, deviation)
	}
}
