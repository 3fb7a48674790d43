package web

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

type homePage struct {
	Name string // "" for a guest
	URL  string // of this site, for those who link to it; "" for a member
	Way  wayDrawing
	// Attacks is how many there are to try, in words; "" without LEARN.
	Attacks string
}

func (s *Site) showHome(c echo.Context) error {
	p := homePage{Way: s.sampleWay()}
	if member, ok := current(c).Member(); ok {
		p.Name = member.Name
	} else {
		p.URL = s.BaseURL.JoinPath("/").String()
	}
	if s.Learn {
		p.Attacks = inWords(len(s.Lab.Attacks.All()))
	}
	return s.page(c, http.StatusOK, "home", "", p)
}
