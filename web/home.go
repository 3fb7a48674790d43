package web

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

type homePage struct {
	Name   string // "" for a guest
	URL    string // of this site, for those who link to it; "" for a member
	Memory bool   // whether sessions are in the server's memory
	Way    wayDrawing
	// Attacks is how many there are to try, in words; "" without LEARN.
	Attacks string
}

func (s *Site) showHome(c echo.Context) error {
	p := homePage{Memory: s.inMemory(), Way: s.sampleWay()}
	if member, ok := current(c).Member(); ok {
		p.Name = member.Name
		token, _ := findCookie(c.Request().Header, s.Sessions.CookieName())
		p.Way = s.wayOf(member.Name, token, current(c).Key())
	} else {
		p.URL = s.BaseURL.JoinPath("/").String()
	}
	if s.Learn {
		p.Attacks = inWords(len(s.Lab.Attacks.All()))
	}
	return s.page(c, http.StatusOK, "home", "", p)
}
