package web

import (
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"
)

type profilePage struct {
	Name            string
	LoggedInSince   moment
	LastSeen        moment
	IdleEnd         moment
	LatestEnd       moment
	Remembered      bool
	Store           string
	Outlived        int64
	OutlivedWords   string
	ServerStarted   moment
	StartNumber     int64
	Instance        string
	OlderThanServer bool
}

// showProfile greets a person by the name in their session. It needs that
// session and nothing else: one read of the store, no SQL.
func (s *Site) showProfile(c echo.Context) error {
	whose, now := current(c), s.Now()
	member, _ := whose.Member()
	outlived := s.Process.Start - member.Start
	return s.page(c, http.StatusOK, "profile", "Profile", profilePage{
		Name:            member.Name,
		LoggedInSince:   momentAt(whose.CreatedAt(), now),
		LastSeen:        momentAt(whose.LastSeenAt(), now),
		IdleEnd:         momentAt(whose.IdleExpiresAt(), now),
		LatestEnd:       momentAt(whose.ExpiresAt(), now),
		Remembered:      member.Remember,
		Store:           s.Sessions.Where(),
		Outlived:        outlived,
		OutlivedWords:   outlivedWords(outlived),
		ServerStarted:   momentAt(s.Process.Started, now),
		StartNumber:     s.Process.Start,
		Instance:        s.instance(),
		OlderThanServer: outlived > 0,
	})
}

// outlivedWords says how many server starts a session has seen. An instance
// that started before the log-in at a later one sees a negative number: the
// session has outlived nothing that this instance knows of.
func outlivedWords(starts int64) string {
	switch {
	case starts <= 0:
		return "no server start yet"
	case starts == 1:
		return "1 server start"
	default:
		return fmt.Sprintf("%d server starts", starts)
	}
}
