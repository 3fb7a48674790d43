package web

import (
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"
)

type profilePage struct {
	Name            string
	LoggedInSince   Moment
	LastSeen        Moment
	IdleEnd         Moment
	LatestEnd       Moment
	Remembered      bool
	Store           string
	Outlived        string // how many server starts, in words
	ServerStarted   Moment
	StartNumber     int64
	Instance        string
	OlderThanServer bool
}

// showProfile greets a person by the name in their session: one read of the
// session store and no SQL.
func (s *Site) showProfile(c echo.Context) error {
	sess, now := current(c), s.Now()
	member, _ := sess.Member()
	times := sess.Times()
	outlived := "none yet"
	// The session may have begun at a later start than this instance's.
	starts := s.Process.Start - member.Start
	if starts > 0 {
		outlived = strconv.FormatInt(starts, 10)
	}
	return s.Render(c, http.StatusOK, "profile", "Profile", profilePage{
		Name:            member.Name,
		LoggedInSince:   MomentAt(times.Created, now),
		LastSeen:        MomentAt(times.LastSeen, now),
		IdleEnd:         MomentAt(times.IdleExpires, now),
		LatestEnd:       MomentAt(times.Expires, now),
		Remembered:      member.Remember,
		Store:           s.frame.Store,
		Outlived:        outlived,
		ServerStarted:   MomentAt(s.Process.Started, now),
		StartNumber:     s.Process.Start,
		Instance:        s.frame.Instance,
		OlderThanServer: starts > 0,
	})
}
