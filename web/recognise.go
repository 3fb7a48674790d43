package web

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"holdfast/internal/learn/trace"
	"holdfast/internal/session"
)

// maxMakings bounds how often one page is made anew because a parallel request
// of the same session showed its notice first.
const maxMakings = 4

// recognise is where the server finds out who is asking. It loads the session
// behind the cookie, lets the handler make its whole answer in a buffer,
// stores what changed, and only then sends cookie and page in one write. A
// handler that fails or panics, or a store that does not answer, leaves the
// stored session as it was, and nothing of the half-made page is sent.
func (s *Site) recognise(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		for making := 1; ; making++ {
			err := s.answer(c, next)
			if making == maxMakings || !again(c, err) {
				return err
			}
			if rec := watched(c); rec != nil {
				rec.Again()
			}
		}
	}
}

// again reports whether a page that failed with err is worth making anew: when
// a parallel request showed its notice first, and, with notices left where they
// are, when the store would not let them be taken: a full one still greets.
func again(c echo.Context, err error) bool {
	switch {
	case !safe(c.Request()):
		return false
	case errors.Is(err, session.ErrFlashTaken):
		return true
	case errors.Is(err, session.ErrUnavailable) && c.Get(noticesKey) == noticesTaken:
		c.Set(noticesKey, noticesHeld)
		return true
	}
	return false
}

func (s *Site) answer(c echo.Context, next echo.HandlerFunc) error {
	// A client that has gone away does not stop half-way what it has begun: a
	// log-out that was asked for happens. The session's own limits bound it.
	ctx := context.WithoutCancel(c.Request().Context())
	whose, err := s.Sessions.Load(ctx, s.token(c), func(sess *session.Session) { s.noteRecord(c, sess) })
	if err != nil {
		return err
	}
	noteSender(c, whose)
	c.Set(sessionKey, whose)
	member, _ := whose.Member()
	c.Set(senderKey, member.Name)
	out := c.Response()
	body := s.bodies.Get().(*bytes.Buffer)
	defer func() { body.Reset(); s.bodies.Put(body) }()
	buffer := &bufferedAnswer{header: http.Header{}, status: http.StatusOK, body: body}
	c.SetResponse(echo.NewResponse(buffer, s.echo))
	err = recovering(next, c)
	c.SetResponse(out)
	if err != nil {
		return err
	}
	if err := s.conclude(c, buffer); err != nil {
		return err
	}
	// One line, on every page that knows a session (ASVS 5.0 14.3.2), in place
	// of whatever stood there.
	buffer.header.Set("Cache-Control", "no-store")
	return buffer.send(out)
}

// conclude stores what changed in the session and puts its cookie, if one has
// to go out, on the answer. What a handler has concluded itself, in order to
// tell of it, is not concluded again.
func (s *Site) conclude(c echo.Context, answer http.ResponseWriter) error {
	whose := current(c)
	if err := s.Sessions.Commit(whose); err != nil {
		return err
	}
	noteOutcome(c, whose)
	s.Sessions.WriteCookie(answer, whose)
	if rec := watched(c); rec != nil {
		rec.Add(trace.CookiesOf(answer.Header()["Set-Cookie"]))
	}
	return nil
}

// token is the value of the session cookie; "" when there is none or several:
// which of two is the right one nobody can say.
func (s *Site) token(c echo.Context) string {
	cookies := c.Request().CookiesNamed(s.Sessions.CookieName())
	s.noteToken(c, cookies)
	if len(cookies) != 1 {
		return ""
	}
	return cookies[0].Value
}

func safe(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead
}

// bufferedAnswer keeps a handler's answer until the session is stored.
type bufferedAnswer struct {
	header http.Header // the handler's own; the middleware's stay where they are
	status int
	body   *bytes.Buffer
}

func (b *bufferedAnswer) Header() http.Header         { return b.header }
func (b *bufferedAnswer) WriteHeader(status int)      { b.status = status }
func (b *bufferedAnswer) Write(p []byte) (int, error) { return b.body.Write(p) }

func (b *bufferedAnswer) send(out *echo.Response) error {
	maps.Copy(out.Header(), b.header)
	if b.body.Len() > 0 {
		out.Header().Set(echo.HeaderContentLength, strconv.Itoa(b.body.Len()))
	}
	out.WriteHeader(b.status)
	// The status is on its way: an error now means that the client has gone.
	_, _ = out.Write(b.body.Bytes())
	return nil
}
