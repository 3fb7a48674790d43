package web

import (
	"io"
	"testing"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit/pagetest"
	"holdfast/internal/view"
)

func TestNoTextBecomesMarkup(t *testing.T) {
	t.Parallel()
	suite(t).CheckEscaping(t)
}

func TestACompiledPageIsThePageOfHTMLTemplate(t *testing.T) {
	t.Parallel()
	suite(t).CheckCompiled(t)
}

// The two pages that members open most are compiled: html/template makes some 200
// allocations for one of them.
func TestTheGreetingPagesAreCompiled(t *testing.T) {
	// AllocsPerRun counts for the whole process.
	views, _ := newTestViews(t)
	for _, name := range []string{"home", "profile"} {
		data := inLayout(layout{Title: "Sample", Member: "Ada"}, samplePages()[name][1])
		n := testing.AllocsPerRun(100, func() {
			require.NoError(t, views.Render(io.Discard, name, data))
		})
		if n > 20 {
			t.Errorf("%s takes %.0f allocations: its template has something in it that is not compiled", name, n)
		}
	}
}

// BenchmarkRenderProfile compares compiled and interpreted rendering of the profile
// page.
func BenchmarkRenderProfile(b *testing.B) {
	views, _ := newTestViews(b)
	data := inLayout(
		layout{Title: "Profile", Path: "/profile", Member: "Ada", Version: "1.2.3", Instance: "restarted 16 times, process ID 1954", Store: "Redis"},
		samplePages()["profile"][1],
	)
	for way, data := range map[string]view.Data{"compiled": data, "interpreted": pagetest.Interpreted(data)} {
		b.Run(way, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				require.NoError(b, views.Render(io.Discard, "profile", data))
			}
		})
	}
}
