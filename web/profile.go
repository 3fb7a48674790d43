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
	Outlived        int64
	OutlivedWords   string
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
	outlived := s.Process.Start - member.Start
	return s.Render(c, http.StatusOK, "profile", "Profile", profilePage{
		Name:            member.Name,
		LoggedInSince:   MomentAt(times.Created, now),
		LastSeen:        MomentAt(times.LastSeen, now),
		IdleEnd:         MomentAt(times.IdleExpires, now),
		LatestEnd:       MomentAt(times.Expires, now),
		Remembered:      member.Remember,
		Store:           s.where(),
		Outlived:        outlived,
		OutlivedWords:   outlivedWords(outlived),
		ServerStarted:   MomentAt(s.Process.Started, now),
		StartNumber:     s.Process.Start,
		Instance:        s.instance,
		OlderThanServer: outlived > 0,
	})
}

// outlivedWords describes how many server starts a session has outlived. The
// number is negative for a session that began at a later start than that of this
// instance; then this instance knows of none.
func outlivedWords(starts int64) string {
	switch {
	case starts <= 0:
		return "none yet"
	case starts == 1:
		return "1"
	default:
		return strconv.FormatInt(starts, 10)
	}
}
