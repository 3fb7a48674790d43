package web

import (
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/session"
)

type deletePage struct {
	Now   string // the account's email address
	Email string // as typed
	Waits bool   // whether the account can still be kept for some days
	problems
}

func (s *Site) showDelete(c echo.Context, person account.Person) error {
	wrong, waits := problemsOf(c), s.MailOn && person.Verified
	return s.Render(c, wrong.status(), "delete", "Delete your account", deletePage{person.Email, formOf(c)["email"], waits, wrong})
}

// submitDelete deletes the member's account, either for good or after a waiting period.
// If another click has done so in the meantime, the response is the same.
func (s *Site) submitDelete(c echo.Context) error {
	ctx, notice, event, failed := c.Request().Context(), flashDeleted, account.EventDeleted, errDeleted
	member, _ := memberOf(c)
	waits, ended, err := s.Accounts.Close(ctx, member.ID, formOf(c)["email"], s.MailOn, sender(c))
	if err != nil && !errors.Is(err, account.ErrNotFound) {
		return err
	}
	if waits {
		notice, event, failed = flashClosing+s.revoke(c, member.ID), account.EventDeletionAsked, errClosing
	} else {
		notice += s.revoked(c, s.Sessions.RevokeKeys(ctx, s.Stores.Revocations(), ended))
	}
	if err == nil {
		s.logEvent(c, event, member.ID)
	}
	current(c).LogOut()
	if err := s.commit(c); err != nil {
		return unavailableAfter(failed, err)
	}
	s.setFlashCookie(c, notice)
	return c.Redirect(http.StatusSeeOther, "/")
}

// deletedBefore returns the notice for a guest's deletion form of an account that is
// already deleted or waiting to be deleted, as a second click sends it; "" for any
// other request. Either the deletion ended the form's session, or the browser already
// has the notice instead of the session cookie.
func (s *Site) deletedBefore(c echo.Context, ended string) string {
	if c.Request().Method != http.MethodPost || c.Path() != "/account/delete" {
		return ""
	}
	given, _ := findCookie(c.Request(), s.flashCookie)
	switch {
	case ended == flashEnded+string(session.RevokedByClosing):
		return flashClosing
	case ended == flashDeleted:
		return ended
	case strings.HasPrefix(given, flashDeleted), strings.HasPrefix(given, flashClosing):
		return given
	}
	return ""
}

// submitKeep keeps an account waiting to be deleted, with its emailed link.
func (s *Site) submitKeep(c echo.Context, token string) error {
	person, reset, err := s.Accounts.Keep(c.Request().Context(), token, sender(c))
	if errors.Is(err, account.ErrLinkInvalid) {
		return s.doneOrOver(c, token)
	}
	if err != nil {
		return err
	}
	s.logEvent(c, account.EventKept, person.ID)
	s.setFlashCookie(c, flashKept)
	return c.Redirect(http.StatusSeeOther, resetPath(reset))
}

// submitDeleteNow deletes an account before its waiting period ends, with the same link.
func (s *Site) submitDeleteNow(c echo.Context, token string) error {
	person, err := s.Accounts.CloseNow(c.Request().Context(), token, sender(c))
	if errors.Is(err, account.ErrLinkInvalid) {
		return s.linkOver(c)
	}
	if err != nil {
		return err
	}
	s.logEvent(c, account.EventDeleted, person.ID)
	s.setFlashCookie(c, flashDeleted)
	return c.Redirect(http.StatusSeeOther, "/")
}
