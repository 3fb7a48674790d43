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
	if said := v.get("/lab").text(".experiment .empty"); said != "Nothing has been measured on this machine yet." {
		t.Errorf("before the first check: %q", said)
	}
	pressCheck(t, v)
	for path, refresh := range map[string]string{"/lab": "", "/lab/check": "2"} {
		running := v.get(path)
		if said := running.text(".experiment [role=status]"); !strings.HasPrefix(said, "A check is running") || running.Header.Get("Refresh") != refresh {
			t.Errorf("%s while it runs: %q, Refresh %q", path, said, running.Header.Get("Refresh"))
		}
	}
	pressCheck(t, v) // only one runs at a time: this changes nothing
	var done answer
	partly := false // some stores done, others not
	testkit.Eventually(t, 4*time.Minute, "finish the check", func() error {
		var err error
		if done, err = v.ask("GET", "/lab", nil); err != nil {
			return err
		}
		waiting := done.page.Find("td.waiting").Length()
		partly = partly || waiting > 0 && waiting < 15 && done.page.Find(".matrix tbody tr").Length() == 15
		if said := done.text(".experiment [role=status]"); said != "" {
			return fmt.Errorf("still %q", said)
		}
		return nil
	})
	if why := done.text(".experiment [role=alert]"); why != "" {
		t.Fatalf("the check failed: %s", why)
	}
	if !partly {
		t.Error("no look found a table with some stores done and others not")
	}
	found := map[string]string{}
	for _, row := range done.page.Find(".matrix").First().Find("tbody tr").EachIter() {
		found[row.Find("th").Text()] = row.Find("td").Text()
	}
	for store, want := range map[string]string{
		"redis": "knownknownknown", "file": "knownknownrefused", "database": "knownknownknown", "memory": "strangerstrangerstranger", "jwt": "knownknownknown",
	} {
		if found[store] != want {
			t.Errorf("%s: %q, want %q", store, found[store], want)
		}
	}
	mustBe(t, greeted, v, "after the check")
	// /why shows the measurements beside the faults.
	why := v.get("/why")
	for fault, want := range map[string]string{"It forgets": "stranger known", "It cannot be shared": "stranger known"} {
		row := why.page.Find("table.measured tr").FilterFunction(func(_ int, row *goquery.Selection) bool { return row.Find("th").Text() == fault })
		if said := row.Find("td").Eq(1).Text() + " " + row.Find("td").Eq(2).Text(); said != want {
			t.Errorf("%s: measured %q, want %q", fault, said, want)
		}
	}
	// The measurements also survive a restart of the server.
	server.Stop()
	server.Start()
	if n := v.get("/lab").page.Find(".matrix tbody tr").Length(); n != 15 {
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
