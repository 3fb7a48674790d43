package web

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/labstack/echo/v4"
)

func TestAPageOfAListKnowsItsNeighbours(t *testing.T) {
	t.Parallel()
	rows := make([]int, 7)
	for i := range rows {
		rows[i] = i
	}
	for query, want := range map[string]struct {
		shown        []int
		older, newer string
	}{
		"":              {[]int{0, 1, 2}, "/list?page=2", ""},
		"?page=2":       {[]int{3, 4, 5}, "/list?page=3", "/list?page=1"},
		"?page=3":       {[]int{6}, "", "/list?page=2"},
		"?page=9":       {nil, "", "/list?page=8"},
		"?page=0":       {[]int{0, 1, 2}, "/list?page=2", ""},
		"?page=1001":    {[]int{0, 1, 2}, "/list?page=2", ""},
		"?page=x&page=": {[]int{0, 1, 2}, "/list?page=2", ""},
	} {
		var c echo.Context
		e := echo.New()
		e.GET("/list", func(found echo.Context) error { c = found; return nil })
		e.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/list"+query, nil))
		list := pagingOf(c, 3)
		low := min(list.offset(), len(rows))
		got, beside := shown(list, rows[low:min(low+list.limit(), len(rows))])
		if !slices.Equal(got, want.shown) || beside != (neighbours{want.older, want.newer}) {
			t.Errorf("%s: %v, %+v; want %+v", query, got, beside, want)
		}
	}
	last := paging{path: "/list", page: maxPage, size: 1}
	if _, beside := shown(last, []int{1, 2}); beside.Older != "" {
		t.Errorf("after the last page comes %s, which would be the first", beside.Older)
	}
}
