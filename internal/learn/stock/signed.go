package stock

import (
	"fmt"
	"html"
	"net/http"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/labstack/echo/v4"
)

// Signed is the typical set-up without a store: the cookie is a JSON Web Token (RFC
// 7519), which holds the session itself, signed. The server keeps no list of sessions,
// so it cannot end one: a copy of the cookie works until it expires.
type Signed struct {
	*echo.Echo
	people *People
	key    []byte // that signs
}

// People are the accounts of such servers, by email address. The zero value has none.
type People struct {
	mu  sync.Mutex
	all map[string]account
}

type account struct{ name, password string }

// signedLife is how long a signed cookie is valid.
const signedLife = time.Hour

type claims struct {
	Name string `json:"name"`
	jwt.RegisteredClaims
}

// NewSigned returns a server. Servers with the same people and the same key accept each
// other's cookies.
func NewSigned(people *People, key []byte) *Signed {
	s := &Signed{Echo: echo.New(), people: people, key: key}
	for _, page := range []string{"/register", "/login", "/account/password"} {
		s.GET(page, s.page)
	}
	s.GET("/profile", s.profile)
	s.POST("/register", s.register)
	s.POST("/login", s.logIn)
	s.POST("/logout", s.logOut)
	s.POST("/account/password", s.setPassword)
	return s
}

// forms are on every page.
const forms = `
<form method="post" action="/register"><input name="name"><input name="email"><input name="password"></form>
<form method="post" action="/login"><input name="email"><input name="password"></form>
<form method="post" action="/account/password"><input name="current"><input name="new"></form>
<form method="post" action="/logout"></form>`

func (s *Signed) page(c echo.Context) error {
	return c.HTML(http.StatusOK, "<h1>A typical site</h1>"+forms)
}

// session reads the cookie, which is the whole session.
func (s *Signed) session(c echo.Context) (session claims, err error) {
	cookie, err := c.Cookie(CookieName)
	if err != nil {
		return session, err
	}
	_, err = jwt.ParseWithClaims(cookie.Value, &session, func(*jwt.Token) (any, error) { return s.key, nil },
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Name}), jwt.WithExpirationRequired())
	return session, err
}

func (s *Signed) profile(c echo.Context) error {
	session, err := s.session(c)
	if err != nil {
		return c.Redirect(http.StatusSeeOther, "/login")
	}
	return c.HTML(http.StatusOK, "<h1>Hello, "+html.EscapeString(session.Name)+"!</h1>"+forms)
}

func (s *Signed) register(c echo.Context) error {
	s.people.set(c.FormValue("email"), account{name: c.FormValue("name"), password: c.FormValue("password")})
	return c.Redirect(http.StatusSeeOther, "/login")
}

func (s *Signed) logIn(c echo.Context) error {
	email := c.FormValue("email")
	person, ok := s.people.find(email, c.FormValue("password"))
	if !ok {
		return wrongPassword(c)
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims{Name: person.name, RegisteredClaims: jwt.RegisteredClaims{
		Subject: email, ExpiresAt: jwt.NewNumericDate(time.Now().Add(signedLife)),
	}}).SignedString(s.key)
	if err != nil {
		return fmt.Errorf("sign a cookie: %w", err)
	}
	c.SetCookie(&http.Cookie{Name: CookieName, Value: token, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	return c.Redirect(http.StatusSeeOther, "/profile")
}

// logOut can only ask the browser to delete its cookie.
func (s *Signed) logOut(c echo.Context) error {
	c.SetCookie(&http.Cookie{Name: CookieName, Path: "/", MaxAge: -1})
	return c.Redirect(http.StatusSeeOther, "/login")
}

func (s *Signed) setPassword(c echo.Context) error {
	session, err := s.session(c)
	if err != nil {
		return c.Redirect(http.StatusSeeOther, "/login")
	}
	person, ok := s.people.find(session.Subject, c.FormValue("current"))
	if !ok {
		return wrongPassword(c)
	}
	person.password = c.FormValue("new")
	s.people.set(session.Subject, person)
	return c.Redirect(http.StatusSeeOther, "/profile")
}

func (p *People) set(email string, a account) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = map[string]account{}
	}
	p.all[email] = a
}

func (p *People) find(email, password string) (account, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a, ok := p.all[email]
	return a, ok && a.password == password
}
