package web

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"holdfast/internal/session"
)

type homePage struct {
	Name   string // "" for a guest
	URL    string // of this site, for link previews; "" for a member
	Memory bool   // whether sessions are in the server's memory
	// Embedded makes the page explain to a guest that sessions are in a Redis inside
	// the server.
	Embedded bool
	Way      FlowDiagram
}

func (s *Site) showHome(c echo.Context) error {
	p := homePage{Memory: s.InMemory()}
	if member, ok := current(c).Member(); ok {
		p.Name = member.Name
		token, _ := findCookie(c.Request(), s.sessionCookie)
		p.Way = s.flowOf(member.Name, token, current(c).Key())
	} else {
		const token = "qUdM0000000000000000000000000000000000000hYsf" // an invented member's
		p.Way = s.flowOf("Ada", token, session.Key(token))
		p.Embedded = s.Embedded
		p.URL = s.BaseURL.JoinPath("/").String()
	}
	return s.Render(c, http.StatusOK, "home", "", p)
}
