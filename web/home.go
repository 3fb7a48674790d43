package web

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

type homePage struct{ Name string } // "" for a guest

func (s *Site) showHome(c echo.Context) error {
	var p homePage
	if member, ok := current(c).Member(); ok {
		p.Name = member.Name
	}
	return s.page(c, http.StatusOK, "home", "", p)
}
