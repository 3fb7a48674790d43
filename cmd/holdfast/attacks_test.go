package main_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"holdfast/internal/dev/testkit"
	"holdfast/internal/dev/testprocess"
	"holdfast/internal/dev/testservice"
)

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
		people := testprocess.Run(t, program(t), server.Dir, settings, "users", "list")
		if people.Code != 0 || strings.Contains(people.Stdout, "@") {
			t.Errorf("people afterwards: %s", people.Output())
		}
	})
}
