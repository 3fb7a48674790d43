package trace

import "testing"

func TestASourceIsSeenFromTheTopOfAnyModule(t *testing.T) {
	for _, module := range []string{"holdfast/", "example.com/", "example.com/kelp/", "example.com/kelp/seafarer/", "gopkg.in/kelp.v2/"} {
		for name, want := range map[string]Source{
			"web.(*Site).answer":                   {"web/some.go", "(*Site).answer"},
			"web.(*Site).answer.func1":             {"web/some.go", "(*Site).answer"},
			"internal/learn/trace.New":             {"internal/learn/trace/some.go", "New"},
			"internal/learn/trace_test.taker.take": {"internal/learn/trace/some.go", "taker.take"},
			"internal/session.Open":                {"internal/session/some.go", "Open"},
		} {
			if got := sourceOf(module, module+name, "/anywhere/at/all/some.go"); got != want {
				t.Errorf("%s%s is taken for %+v, want %+v", module, name, got, want)
			}
		}
	}
}
