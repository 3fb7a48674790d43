package web

import (
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
)

type deletePage struct {
	Now   string // the address of the account
	Email string // what was typed
	problems
}

func (s *Site) showDelete(c echo.Context) error {
	person, err := s.ownAccount(c)
	if err != nil {
		return err
	}
	wrong := problemsOf(c)
	return s.Render(c, wrong.status(), "delete", "Delete your account", deletePage{person.Email, formOf(c)["email"], wrong})
}

// submitDelete deletes the account of the sender, for good. If another click has
// deleted it in the meantime, the answer is the same.
func (s *Site) submitDelete(c echo.Context) error {
	member, _ := memberOf(c)
	ended, err := s.Accounts.Close(c.Request().Context(), member.ID, formOf(c)["email"], sender(c))
	if err != nil && !errors.Is(err, account.ErrNotFound) {
		return err
	}
	if err == nil {
		s.logEvent(c, string(account.EventDeleted), member.ID)
	}
	later := s.revoked(c, s.Sessions.RevokeKeys(c.Request().Context(), s.Stores.Revocations(), ended))
	current(c).LogOut()
	if err := s.commit(c, c.Response()); err != nil {
		return unavailableAfter(errDeleted, err)
	}
	s.setFlashCookie(c, flashDeleted+later)
	return c.Redirect(http.StatusSeeOther, "/")
}

// deletedBefore reports whether a guest sent the form of an account that is deleted
// already, as a second click does: the deletion ended the session that the form came
// with, or the browser has its notice instead of that session's cookie.
func (s *Site) deletedBefore(c echo.Context, notice string) bool {
	given, _ := findCookie(c.Request().Header, s.flashCookie)
	return c.Request().Method == http.MethodPost && c.Path() == "/account/delete" &&
		(notice == flashDeleted || strings.HasPrefix(given, flashDeleted))
}
