package main_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"holdfast/internal/dev/testkit"
)

func TestTheCheckButtonMeasuresAllStoresBesideTheServer(t *testing.T) {
	t.Parallel()
	server := start(t, nil)
	v := member(t, server)
	if said := v.get("/lab").text("#stores ~ .empty"); said != "Nothing has been measured on this machine yet." {
		t.Errorf("before the first check: %q", said)
	}
	pressCheck(t, v)
	running := v.get("/lab")
	if !strings.HasPrefix(running.text("#stores ~ [role=status]"), "A check is running") || running.Header.Get("Refresh") != "2; url=/lab?look=2#stores" {
		t.Errorf("while it runs: %q, Refresh %q", running.text("#stores ~ [role=status]"), running.Header.Get("Refresh"))
	}
	if next := v.get("/lab?look=2").Header.Get("Refresh"); next != "2; url=/lab?look=1#stores" {
		t.Errorf("from there Refresh leads to %q: where the browser is already, it does not load", next)
	}
	pressCheck(t, v) // one at a time: this changes nothing
	var done answer
	partly := false // some stores done, others not
	testkit.Eventually(t, 4*time.Minute, "finish the check", func() error {
		var err error
		if done, err = v.ask("GET", "/lab", nil); err != nil {
			return err
		}
		waiting := done.page.Find("table.measured td.waiting").Length()
		partly = partly || waiting > 0 && waiting < 4 && done.page.Find("table.measured tbody tr").Length() == 4
		if done.Header.Get("Refresh") != "" {
			return fmt.Errorf("still %q", done.text("#stores ~ [role=status]"))
		}
		return nil
	})
	if why := done.text("#stores ~ [role=alert]"); why != "" {
		t.Fatalf("the check failed: %s", why)
	}
	if !partly {
		t.Error("no look found a table with some stores done and others not")
	}
	after := map[string]string{}
	for _, row := range done.page.Find("table.measured tbody tr").EachIter() {
		after[row.Find("th").Text()] = row.Find("td").Eq(1).Text()
	}
	for store, want := range map[string]string{
		"redis": "Hello, Ada!", "file": "Hello, Ada!", "database": "Hello, Ada!", "memory": "logged out",
	} {
		if after[store] != want {
			t.Errorf("%s: after a restart %q, want %q", store, after[store], want)
		}
	}
	mustBe(t, greeted, v, "after the check")
	// The page that says why has the figures beside the faults.
	why := v.get("/why")
	for fault, want := range map[string]string{"It forgets": "logged out Hello, Ada!", "It cannot be shared": "logged out refused to start: only one process can use the embedded Redis. The database, for comparison: recognised"} {
		row := why.page.Find("table.measured tr").FilterFunction(func(_ int, row *goquery.Selection) bool { return row.Find("th").Text() == fault })
		if said := row.Find("td").Eq(1).Text() + " " + row.Find("td").Eq(2).Text(); said != want {
			t.Errorf("%s: measured %q, want %q", fault, said, want)
		}
	}
	// What was measured outlives the server, too.
	server.Stop()
	server.Start()
	if n := v.get("/lab").page.Find("table.measured tbody tr").Length(); n != 4 {
		t.Errorf("after a restart the table has %d rows", n)
	}
}

func pressCheck(t testing.TB, v *visitor) {
	t.Helper()
	got, err := v.ask("POST", "/lab/check", url.Values{})
	if err != nil || got.Code != http.StatusSeeOther || got.Header.Get("Location") != "/lab#stores" {
		t.Fatalf("press the button of the check: %d, %q, %v", got.Code, got.text("h1"), err)
	}
}

func TestTheLabShowsTwoBrowsersAndEndsTheOther(t *testing.T) {
	t.Parallel()
	server := start(t, nil)
	here := member(t, server)
	there := here.stranger()
	there.logIn()
	lab := here.get("/lab")
	if n := lab.page.Find(".shortlist > li").Length(); n != 2 {
		t.Fatalf("%d sessions are shown, want 2", n)
	}
	got, err := here.submit("/lab", "/devices/end", nil)
	if err != nil || got.Code != http.StatusSeeOther {
		t.Fatal(errors.Join(err, fmt.Errorf("end the other: %d", got.Code)))
	}
	mustBe(t, asked, there, "having been ended from the other browser")
	mustBe(t, greeted, here, "having ended the other browser")
}
