package web

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/form"
	"holdfast/internal/throttle"
)

type registerPage struct {
	Name, Email, Next string
	MinPassword       int // code points
	Failed            string
	Errors            form.Errors
}

func (s *Site) showRegister(c echo.Context) error {
	if _, ok := current(c).Member(); ok {
		return c.Redirect(http.StatusSeeOther, s.afterLogin(c.QueryParam("next")))
	}
	return s.registerPage(c, http.StatusOK, registerPage{Next: s.localPath(c.QueryParam("next"))})
}

func (s *Site) submitRegister(c echo.Context) error {
	sent, err := form.Parse(c.Request(), "name", "email", "password", "next")
	if err != nil {
		return err
	}
	again := registerPage{Name: sent["name"], Email: sent["email"], Next: s.localPath(sent["next"])}
	keys := []throttle.Key{byAddress(signUpRule(), c)}
	if s.MailOn {
		keys = append(keys, byEmail(mailRule(), sent["email"]))
	}
	again.Failed, err = s.take(c, keys...)
	if err != nil {
		return err
	}
	if again.Failed != "" {
		return s.registerPage(c, http.StatusTooManyRequests, again)
	}
	person, err := s.Accounts.SignUp(c.Request().Context(), account.Registration{
		Name: sent["name"], Email: sent["email"], Password: sent["password"],
	}, s.MailOn, from(c))
	taken := errors.Is(err, account.ErrEmailTaken)
	switch {
	case errors.As(err, &again.Errors):
		s.giveBack(c.Request().Context(), keys...)
		return s.registerPage(c, http.StatusUnprocessableEntity, again)
	case err != nil && !taken:
		s.giveBack(c.Request().Context(), keys...)
		return err
	case s.MailOn:
		return s.signedUp(c, person, taken)
	case taken:
		// There is no other way to tell the owner.
		again.Errors.Add("email", "Someone has registered with this e-mail already. If it was you, log in instead.")
		return s.registerPage(c, http.StatusUnprocessableEntity, again)
	}
	s.tell(c, string(account.EventSignUp), person.ID)
	if err := s.enter(c, person, false, true); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, s.afterLogin(sent["next"]))
}

// signedUp answers alike whether or not the address was taken (ASVS 5.0.0,
// 6.3.8), and so logs nobody in: the mail tells its owner which it was.
func (s *Site) signedUp(c echo.Context, person account.Person, taken bool) error {
	if !taken {
		s.tell(c, string(account.EventSignUp), person.ID)
	}
	s.part(c, partingSignedUp)
	return c.Redirect(http.StatusSeeOther, "/login")
}

func (s *Site) registerPage(c echo.Context, status int, p registerPage) error {
	p.MinPassword = s.MinPassword
	return s.page(c, status, "register", "Create an account", p)
}
