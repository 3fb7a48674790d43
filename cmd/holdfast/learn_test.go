package main_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
	"holdfast/internal/dev/testservice"
	visit "holdfast/internal/visitor"
)

func TestBuiltWithoutLearningTheProgramHasNoneOfItsPages(t *testing.T) {
	t.Parallel()
	folder, err := os.MkdirTemp("", "program-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(folder) })
	program, err := testprocess.Build(folder, "holdfast/cmd/holdfast", "-tags=nolearn", "-ldflags=-w")
	require.NoError(t, err)
	server := testprocess.Start(t, program, t.TempDir(), testprocess.Settings{"LEARN": "on"})
	ada := member(t, server)
	taught := []string{"/explain", "/explain/recent", "/lab", "/lab/wait", "/lab/check", "/lab/cookies", "/lab/expire", "/lab/attacks", "/why"}
	for _, v := range []*visitor{ada, ada.stranger()} {
		for _, path := range taught {
			if got := v.get(path); got.Code != http.StatusNotFound {
				t.Errorf("GET %s: %s", path, got.Status)
			}
		}
		for _, path := range []string{"/", "/profile", "/devices", "/session", "/account", "/login", "/register", "/mail", "/nowhere"} {
			page := v.get(path)
			for _, link := range page.page.Find("a[href], form[action]").EachIter() {
				to := link.AttrOr("href", link.AttrOr("action", ""))
				for _, gone := range []string{"/explain", "/lab", "/why"} {
					if strings.HasPrefix(to, gone) {
						t.Errorf("GET %s: leads to %s", path, to)
					}
				}
			}
		}
		if got := v.get("/mail"); got.Code != http.StatusOK {
			t.Errorf("GET /mail: %s", got.Status)
		}
	}
	if greeting := ada.get("/profile"); greeting.Heading() != "Hello, Ada!" {
		t.Errorf("the profile says %q", greeting.Heading())
	}
	if end := testprocess.Run(t, program, t.TempDir(), nil, "restart-check"); end.Code == 0 || !strings.Contains(end.Output(), "nolearn") {
		t.Errorf("restart-check ended with %d: %s", end.Code, end.Output())
	}
}

// The tests in web check what the attacks find. This test checks that they reach the
// program itself, on any listen address and under any base URL.
func TestTheProgramAttacksItself(t *testing.T) {
	t.Parallel()
	each(t, map[string]testprocess.Settings{
		"as it comes":        {},
		"on every network":   {"HOST": "0.0.0.0", "LEARN": "on"},
		"behind a proxy":     {"BASE_URL": "https://login.example.org", "LEARN": "on"},
		"sessions in a file": {"SESSION_STORE": "file"},
	}, func(t *testing.T, _ string, settings testprocess.Settings) {
		settings["PORT"] = strconv.Itoa(testservice.FreePort(t))
		server := start(t, settings)
		v := newVisitor(t, "http://127.0.0.1:"+settings["PORT"])
		shown := "/lab/attacks"
		for _, attack := range []string{"replay", "forged"} {
			// An attack has seven seconds, which a busy machine may exceed.
			testkit.Eventually(t, time.Minute, "run the attack "+attack, func() error {
				got, err := v.submit(shown, "/lab/attacks/"+attack, nil)
				if err == nil && got.Code != http.StatusSeeOther {
					err = fmt.Errorf("status %d", got.Code)
				}
				if err != nil {
					return err
				}
				next := got.Header.Get("Location")
				said := v.get(next).text("#" + attack + " ~ details .verdict")
				if strings.HasPrefix(said, "This server fell") {
					t.Fatalf("%s: %s", attack, said)
				}
				if !strings.HasPrefix(said, "This server held") {
					return fmt.Errorf("the verdict is %q", said)
				}
				shown = next
				return nil
			})
		}
		server.Stop()
		server.Start()
		v = newVisitor(t, v.Base)
		page := v.get(shown)
		if open := page.page.Find(".attack > details[open]").Length(); open != 2 {
			t.Errorf("%s shows %d of 2 results", shown, open)
		}
		if score := page.page.Find(".score tbody tr").First().Text(); score != "This server200" {
			t.Errorf("the score is %q", score)
		}
		if letters := v.get("/mail").page.Find(".letter").Length(); letters > 0 {
			t.Errorf("%d emails to people who never were", letters)
		}
		here := page.page.Find(".trial").FilterFunction(func(_ int, trial *goquery.Selection) bool {
			return trial.Find("h3").Text() == "This server"
		})
		if held := here.Filter(".held").Length(); held != 2 {
			t.Errorf("%d of 2 attacks failed here: %s", held, here.Text())
		}
		mustNotName(t, mustSucceed(t, testprocess.Run(t, program(t), server.Dir, settings, "users", "list")), "@")
	})
}

func TestTheLabShowsTwoBrowsersAndEndsTheOther(t *testing.T) {
	t.Parallel()
	here := member(t, start(t, nil))
	there := here.stranger()
	there.logIn()
	if n := here.get("/lab").page.Find(".shortlist > li").Length(); n != 2 {
		t.Fatalf("%d sessions are shown, want 2", n)
	}
	here.send("/lab", "/devices/end", nil)
	mustBe(t, asked, there, "having been ended from the other browser")
	mustBe(t, greeted, here, "having ended the other browser")
}

func TestASecondServerTakesNoNoticeAndEndsWithTheFirst(t *testing.T) {
	t.Parallel()
	each(t, map[string]func(*testprocess.Server){
		"killed":  func(s *testprocess.Server) { s.Kill() },
		"stopped": func(s *testprocess.Server) { s.Stop() },
	}, func(t *testing.T, _ string, end func(*testprocess.Server)) {
		server := start(t, testprocess.Settings{"SESSION_STORE": "database"})
		v := member(t, server)
		require.NoError(t, visit.Sent(v.Post(t.Context(), "/why/second", url.Values{"guess": {"known"}})))
		why := v.get("/why")
		if said := why.text(".second-said") + "; " + why.text(".notices .notice"); !strings.HasPrefix(said, "Hello, Ada!; You guessed right: 1 of 1 so far.") {
			t.Errorf("the page says %q", said) // the notice is for this page, not for the second server's
		}
		second := why.page.Find("#second ~ .actions a").AttrOr("href", "")
		alive := func() bool {
			response, err := http.Get(strings.TrimSuffix(second, "/profile") + "/healthz")
			if err == nil {
				response.Body.Close()
			}
			return err == nil
		}
		if !alive() {
			t.Fatal("the second server does not answer")
		}
		end(server)
		testkit.Eventually(t, answerLimit, "end with the first", func() error {
			if alive() {
				return errors.New("the second server still answers")
			}
			return nil
		})
	})
}

func pressCheck(t testing.TB, v *visitor) {
	t.Helper()
	got, err := v.ask("POST", "/lab/check", url.Values{})
	if err != nil || got.Code != http.StatusSeeOther || got.Header.Get("Location") != "/lab#stores" {
		t.Fatalf("press the button of the check: %d, %q, %v", got.Code, got.text("h1"), err)
	}
}
