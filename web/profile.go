package web

import (
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"
)

type profilePage struct {
	Name          string
	LoggedInSince Moment
	LastSeen      Moment
	IdleEnd       Moment
	LatestEnd     Moment
	Remembered    bool
	Outlived      string // how many server starts; "" if none
	ServerStarted Moment
}

// showProfile greets a person by the name in their session: one read of the
// session store and no SQL.
func (s *Site) showProfile(c echo.Context) error {
	sess, now := current(c), s.Now()
	member, _ := sess.Member()
	times := sess.Times()
	p := profilePage{
		Name:          member.Name,
		LoggedInSince: MomentAt(times.Created, now),
		LastSeen:      MomentAt(times.LastSeen, now),
		IdleEnd:       MomentAt(times.IdleExpires, now),
		LatestEnd:     MomentAt(times.Expires, now),
		Remembered:    member.Remember,
		ServerStarted: MomentAt(s.Process.Started, now),
	}
	// The session may have begun at a later start than this instance's.
	if starts := s.Process.Start - member.Start; starts > 0 {
		p.Outlived = strconv.FormatInt(starts, 10)
	}
	return s.Render(c, http.StatusOK, "profile", "Profile", p)
}
