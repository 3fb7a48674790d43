package main_test

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testprocess"
)

func TestBuiltWithoutLearningTheProgramHasNoneOfItsPages(t *testing.T) {
	t.Parallel()
	folder, err := os.MkdirTemp("", "program-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(folder) })
	program, err := testprocess.Build(folder, "holdfast/cmd/holdfast", "-tags", "nolearn")
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
