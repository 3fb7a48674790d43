package web_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"

	"holdfast/internal/dev/require"
	"holdfast/internal/session"
	"holdfast/internal/session/store"
	"holdfast/web"
)

func TestThePageThatSaysWhyIsPublicAndStartsNothingWithoutLearn(t *testing.T) {
	t.Parallel()
	for _, learn := range []bool{true, false} {
		w := newWorld(t, embedded(t), options{learn: learn})
		for who, b := range map[string]*browser{"a guest": w.browser(), "a member": w.member(w.person("Ada"))} {
			page := b.get("/why").want(http.StatusOK).wantNoCookie()
			for _, section := range []string{"memory", "second", "endings", "states", "thieves", "https"} {
				page.wantCount("h2#"+section, 1)
			}
			if forms := page.count("main form"); (forms == 1) != learn {
				t.Errorf("%s, learn %v: %d forms", who, learn, forms)
			}
			if b.get("/").count("a[href='/why']") == 0 {
				t.Errorf("%s, learn %v: nothing leads there", who, learn)
			}
		}
		started := w.browser().post("/why/second", nil)
		if !learn {
			started.want(http.StatusNotFound)
		}
		if got := w.lab.seconds.Load(); (got == 1) != learn {
			t.Errorf("learn %v: %d second servers", learn, got)
		}
	}
}

// A browser does not send the cookie of an https site to a port that serves http.
func TestOnHTTPSNoSecondServerIsStarted(t *testing.T) {
	w, _, b := withMember(t, embedded, options{learn: true, https: true})
	page := b.get("/why").want(http.StatusOK)
	page.wantCount("main form", 0).wantPart("main", "browsers would not send it the cookie")
	b.post("/why/second", nil).wantRedirect("/why#second")
	if got := w.lab.seconds.Load(); got != 0 {
		t.Errorf("%d second servers", got)
	}
	page.wantText("#https ~ p code", "__Host-session")
}

// A narrow screen folds what a wide one shows, and omits nothing.
func TestFoldedRowsSayWhatWideScreensShow(t *testing.T) {
	t.Parallel()
	page := newWorld(t, embedded(t), options{}).browser().get("/why").want(http.StatusOK)
	for section, rows := range map[string]int{"endings": 13, "thieves": 5, "https": 4} {
		words := func(selector, cells string) (all []string) {
			for _, row := range page.doc().Find("section[aria-labelledby=" + section + "] " + selector).EachIter() {
				all = append(all, strings.Join(row.Find(cells).Map(func(_ int, cell *goquery.Selection) string { return cell.Text() }), " | "))
			}
			return all
		}
		heads := words(".across thead tr", "th")
		table, folded := words(".across tbody tr", "th, td"), words(".rows details", "summary, dd")
		if len(table) != rows || !slices.Equal(table, folded) {
			t.Errorf("%s: the table says %q, its folded rows %q", section, table, folded)
		}
		for _, terms := range words(".rows dl", "dt") {
			if !strings.HasSuffix(heads[0], terms) {
				t.Errorf("%s: the table has the heads %q, a folded row %q", section, heads[0], terms)
			}
		}
	}
	list := page.doc().Find("ol.states li").Map(func(_ int, li *goquery.Selection) string { return li.Find("h3").Text() + " | " + li.Find("p").Text() })
	folded := page.doc().Find("#states ~ figure .rows details").Map(func(_ int, row *goquery.Selection) string {
		return row.Find("summary").Text() + " | " + row.Find("p").Text()
	})
	if len(list) != 4 || !slices.Equal(list, folded) {
		t.Errorf("the list of states says %q, its folded rows %q", list, folded)
	}
}

// TestEveryWayASessionEndsIsOnThePage reads the reasons from the code of
// internal/session.
func TestEveryWayASessionEndsIsOnThePage(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../internal/session/*.go")
	require.NoError(t, err)
	said := newWorld(t, embedded(t), options{}).browser().get("/why").text("h2#endings ~ table")
	ways := 0
	for _, file := range files {
		code, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, found := range regexp.MustCompile(`(?m)^\s+RevokedBy\w+\s+RevokeReason = "(.+?)"`).FindAllSubmatch(code, -1) {
			ways++
			if words := web.RevocationWords(session.RevokeReason(found[1])); !strings.Contains(said, "“"+words+"”") {
				t.Errorf("%s: the page does not say %q", found[0], words)
			}
		}
	}
	if ways < 10 {
		t.Errorf("%d ways found", ways)
	}
}

// A server that keeps sessions in memory makes no false claims.
func TestPagesOfAServerWithSessionsInMemoryClaimNothingElse(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{store.KindMemory, store.KindRedis} {
		w := newWorld(t, embedded(t), options{learn: true, store: kind})
		b := w.member(w.person("Bob Smith"))
		all := ""
		for _, path := range []string{"/", "/why", "/explain", "/lab"} {
			all += w.browser().get(path).text("main") + b.get(path).text("main")
		}
		for _, claim := range []string{"keeps no sessions", "kept nothing in its memory", "It still knows you", "restart the server, and it still knows you"} {
			if strings.Contains(all, claim) != (kind == store.KindRedis) {
				t.Errorf("with sessions in %s: is it said %q?", kind, claim)
			}
		}
		b.get("/").wantPart("main", "name: Bob Smith").wantNoPart("main", "Ada")
	}
}
