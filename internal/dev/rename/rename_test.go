package main

import (
	"strings"
	"testing"
)

func TestNamesThatCannotStandEverywhereAreRefused(t *testing.T) {
	good := names{"Kelp", "kelp", "example.com/kelp"}
	if err := good.check(); err != nil {
		t.Error(err)
	}
	for _, bad := range []names{
		{"", "kelp", "kelp"}, {"1 Kelp", "kelp", "kelp"}, {`Kelp "&" Co`, "kelp", "kelp"}, {"Kelp.", "kelp", "kelp"},
		{"Kelp", "", "kelp"}, {"Kelp", "Kelp", "kelp"}, {"Kelp", "kelp-rock", "kelp"}, {"Kelp", "1kelp", "kelp"}, {"Kelp", strings.Repeat("k", 33), "kelp"},
		{"Kelp", "kelp", ""}, {"Kelp", "kelp", "/kelp"}, {"Kelp", "kelp", "example.com//kelp"}, {"Kelp", "kelp", "example.com/kelp/"}, {"Kelp", "kelp", `a"b`},
	} {
		if err := bad.check(); err == nil {
			t.Errorf("%q is let pass", bad)
		}
	}
}

func TestNamesOfGoCommentsAndTextsAreChangedEachInItsWay(t *testing.T) {
	to := names{"Sea Farer", "seafarer", "example.com/kelp/seafarer"}
	change := changer(to)
	for _, c := range []struct{ file, before, after string }{
		{"web/a.go", "package web\n\nimport \"holdfast/internal/form\"\n", "package web\n\nimport \"example.com/kelp/seafarer/internal/form\"\n"},
		{"web/a.go", "package web\n\nfunc startHoldfast() {} // starts Holdfast\n", "package web\n\nfunc startSeaFarer() {} // starts Sea Farer\n"},
		{"web/a.go", "package web\n\nvar holdfast = \"HOLDFAST_X holdfast: Holdfast\"\n", "package web\n\nvar seafarer = \"SEAFARER_X seafarer: Sea Farer\"\n"},
		{"web/a.go", "package web\n\nconst build = `holdfast/cmd/holdfast`\n", "package web\n\nconst build = `example.com/kelp/seafarer/cmd/seafarer`\n"},
		{"go.mod", "module holdfast\n\ngo 1.26\n", "module example.com/kelp/seafarer\n\ngo 1.26\n"},
		{"docs/a.md", "`cmd/holdfast/web.go`, /image/holdfast ./cmd/holdfast", "`cmd/seafarer/web.go`, /image/seafarer ./cmd/seafarer"},
		{"internal/product/product.go", "package product\n\nconst (\n\tCookiePrefix = \"\"\n)\n", "package product\n\nconst (\n\tCookiePrefix = \"seafarer-\"\n)\n"},
	} {
		after, err := change(c.file, []byte(c.before))
		if err != nil || string(after) != c.after {
			t.Errorf("%s: %q becomes %q (%v), want %q", c.file, c.before, after, err, c.after)
		}
	}
}
