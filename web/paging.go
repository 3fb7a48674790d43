package web

import (
	"strconv"

	"github.com/labstack/echo/v4"
)

// maxPage is the last page that a list shows. No one needs older pages, and each costs
// the database more than the one before.
const maxPage = 1000

// paging is the page of a list that a request asks for with ?page=2.
type paging struct {
	path string // of the list, without a query
	page int    // 1 is the first
	size int    // how many rows one page shows
}

// pagingOf returns the page that the query asks for, or the first page for any other
// value.
func pagingOf(c echo.Context, size int) paging {
	n, err := strconv.Atoi(c.QueryParam("page"))
	if err != nil || n < 1 || n > maxPage {
		n = 1
	}
	return paging{path: c.Path(), page: n, size: size}
}

// offset and limit are for the store's query. It reads one row more than a page shows,
// to find out whether there is an older page.
func (p paging) offset() int { return (p.page - 1) * p.size }
func (p paging) limit() int  { return p.size + 1 }

// neighbours are the URLs of the pages before and after this one, or "".
type neighbours struct{ Older, Newer string }

// shown returns this page's rows, out of those read with offset and limit, and its
// neighbours.
func shown[T any](p paging, rows []T) ([]T, neighbours) {
	var beside neighbours
	if len(rows) > p.size {
		rows = rows[:p.size]
		if p.page < maxPage {
			beside.Older = p.at(p.page + 1)
		}
	}
	if p.page > 1 {
		beside.Newer = p.at(p.page - 1)
	}
	return rows, beside
}

func (p paging) at(page int) string { return p.path + "?page=" + strconv.Itoa(page) }
