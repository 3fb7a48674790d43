package pages

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"holdfast/internal/learn/byhand"
	"holdfast/internal/session"
	"holdfast/web"
)

// expirePath is the page that watches a session expire.
const expirePath = "/lab/expire"

// briefLife is how long that session lives.
const briefLife = 10 * time.Second

type expirePage struct {
	Key    string // of the session; "" if none was started
	Store  string // where it is kept
	Left   string // how long the store will keep it; "" once it is gone
	ByHand byhand.Lines
}

// submitExpire stores a session that no browser has the token of.
func (s *Pages) submitExpire(c echo.Context) error {
	now, key := s.Now(), session.Key(rand.Text())
	record, err := session.EncodeRecord(key, session.Record{CreatedAt: now, LastSeenAt: now, ExpiresAt: now.Add(briefLife)})
	if err != nil {
		return err
	}
	if err := s.Lab.Store.CompareAndSwap(c.Request().Context(), key, nil, record, briefLife); err != nil {
		return fmt.Errorf("%w: %w", session.ErrUnavailable, err)
	}
	return c.Redirect(http.StatusSeeOther, expirePath+"?key="+key)
}

// showExpire looks into the store, again and again while the session is there.
func (s *Pages) showExpire(c echo.Context) error {
	p := expirePage{Store: s.Sessions.Where()}
	if key := c.QueryParam("key"); session.WellFormed(key) { // has the form of a token, too
		stored, err := s.Lab.Store.Get(c.Request().Context(), key)
		if err != nil {
			return fmt.Errorf("%w: %w", session.ErrUnavailable, err)
		}
		record, err := session.DecodeRecord(stored)
		brief := err == nil && record.ExpiresAt.Sub(record.CreatedAt) == briefLife // another session is not to be watched
		if brief || stored == nil {
			p.Key, p.ByHand = key, s.ByHand(key)
		}
		if brief {
			p.Left = web.Lasting(max(record.ExpiresAt.Sub(s.Now()).Round(time.Second), time.Second))
			c.Response().Header().Set("Refresh", "1")
		}
	}
	return s.Render(c, http.StatusOK, "expire", "A ten-second session", p)
}
