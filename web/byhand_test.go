package web_test

import (
	"context"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/internal/dev/testservice"
)

// inShell runs one line as a user with their token in $TOKEN would, and returns its
// output.
func inShell(t *testing.T, line, token string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, testservice.Program(t, "bash"), "-c", line)
	cmd.Env = append(cmd.Environ(), "TOKEN="+token)
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%s: %v\n%s", line, err, out)
	}
	return strings.TrimSpace(string(out))
}

// TestTheLinesByHandShowTheSame runs every line that the page offers and compares the
// output with what the page says.
func TestTheLinesByHandShowTheSame(t *testing.T) {
	for _, program := range []string{"bash", "curl", "openssl", "redis-cli"} {
		testservice.Program(t, program)
	}
	onBothLearning(t, func(t *testing.T, w *world, asked string) {
		b := w.member(w.person("Ada"))
		steps := way(b.get("/explain"))
		stored := w.record(b.token())
		ends := step(t, steps, "The session was checked").ends["Idle limit"]
		same := func(want string) func(string) bool { return func(got string) bool { return got == want } }
		agrees := map[string]func(printed string) bool{
			"Your browser sent a cookie": func(printed string) bool { return strings.Contains(printed, `"name":"Ada"`) },
			"It looks like a token":      same("43"),
			"The token became a key":     same(step(t, steps, "The token became a key").facts["SHA-256, in base64url"]),
			asked: func(printed string) bool {
				return printed == stored || slices.Contains(strings.Split(printed, "\n"), step(t, steps, "The token became a key").facts["Key"])
			},
			"These bytes came back": same(strconv.Itoa(len(stored))),
			"The session was checked": func(printed string) bool {
				left, err := strconv.Atoi(printed)
				return err == nil && time.Until(ends.Add(-time.Duration(left)*time.Second)).Abs() < 20*time.Second
			},
			"The name was found":          same("<h1>Hello, Ada!</h1>"),
			"Nothing else had to be done": same("0"),
			// The last line: after it, the same cookie identifies no one.
			"Now delete the record and reload this page": func(printed string) bool {
				step(t, way(b.get("/explain")), "A guest: nothing is stored under that key")
				return printed == "1"
			},
		}
		ran := 0
		for _, s := range steps {
			for _, line := range s.hand {
				agree, known := agrees[s.title]
				if !known {
					t.Errorf("%q: no case checks the line %s", s.title, line)
					continue
				}
				if printed := inShell(t, line, b.token()); !agree(printed) {
					t.Errorf("%q: %s\nprints %q", s.title, line, printed)
				}
				ran++
			}
		}
		if ran != len(agrees)+1 { // two lines read the store
			t.Errorf("%d lines ran, want %d", ran, len(agrees)+1)
		}
		for _, s := range way(w.bare("GET", "/explain", "")) {
			for _, line := range s.hand {
				printed := inShell(t, line, "")
				if printed != "0" && !strings.Contains(printed, `"member":null`) {
					t.Errorf("a guest, %q: %s\nprints %q", s.title, line, printed)
				}
			}
		}
	})
}
