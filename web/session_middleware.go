package web

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"holdfast/internal/session"
)

// maxAttempts limits how often a page is rendered when parallel requests of the same
// session take its flash messages.
const maxAttempts = 4

// sessionMiddleware identifies the sender of the request. It loads the session of the
// cookie, runs the handler with a buffered response, commits the session, and only then
// sends the session cookie and the response, in one write. If the handler fails or
// panics, or the store does not respond, the stored session is unchanged and no part of
// the handler's response is sent.
func (s *Site) sessionMiddleware(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		for attempt := 1; ; attempt++ {
			err := s.serve(c, next)
			if err == nil || attempt == maxAttempts || !retryable(c, err) {
				return err
			}
			if t := traceOf(c.Request().Context()); t != nil {
				t.Retried()
			}
		}
	}
}

// retryable reports whether to retry a request that failed with err. It retries if a
// parallel request took the same flash messages. It also retries, once and with the
// messages left in the session, if the store refused to remove them. So pages can be
// read even if the store is full.
func retryable(c echo.Context, err error) bool {
	switch {
	case !safe(c.Request()):
		return false
	case errors.Is(err, session.ErrFlashTaken):
		return true
	case errors.Is(err, session.ErrUnavailable) && c.Get(flashesKey) == flashesTaken:
		c.Set(flashesKey, flashesKept)
		return true
	}
	return false
}

// serve makes one attempt at a request.
func (s *Site) serve(c echo.Context, next echo.HandlerFunc) error {
	// A client that disconnects must not stop a logout halfway. The session store's
	// timeouts apply instead.
	ctx := context.WithoutCancel(c.Request().Context())
	sess, err := s.Sessions.Load(ctx, s.token(c))
	if err != nil {
		return err
	}
	c.Set(sessionKey, sess)
	member, known := sess.Member()
	if !known {
		sess.SentFrom(c.RealIP())
	}
	c.Set(senderKey, member)
	out, buffered := c.Response(), s.responses.Get().(*bufferedResponse)
	buffered.echo = *echo.NewResponse(buffered, s.echo)
	buffered.echo.Status = http.StatusOK
	c.SetResponse(&buffered.echo)
	defer func() {
		c.SetResponse(out)
		clear(buffered.header)
		buffered.Reset()
		s.responses.Put(buffered)
	}()
	if err := next(c); err != nil {
		return err
	}
	if err := s.commit(c); err != nil {
		return err
	}
	maps.Copy(out.Header(), buffered.header)
	// No response that depends on a session may be cached, whatever the handler set
	// (ASVS 5.0 14.3.2).
	out.Header().Set("Cache-Control", "no-store")
	corrected := buffered.echo.Status == http.StatusUnprocessableEntity && keptForBack[c.Request().URL.Path]
	if corrected && !known && len(out.Header()["Set-Cookie"]) == 0 {
		out.Header().Set("Cache-Control", "private, no-cache")
	}
	if write, ok := c.Get(streamKey).(func(io.Writer) error); ok && c.Request().Method != http.MethodHead {
		return stream(out, buffered.header, write)
	}
	if buffered.Len() > 0 {
		out.Header().Set(echo.HeaderContentLength, strconv.Itoa(buffered.Len()))
	}
	out.WriteHeader(buffered.echo.Status)
	// The status is already sent: an error now means that the client has
	// disconnected.
	_, _ = out.Write(buffered.Bytes())
	return nil
}

const (
	// streamPart is how many bytes of a stream are sent at a time; a shorter stream is
	// sent whole.
	streamPart = 64 << 10
	// streamPartTimeout is how long a client may take to receive a part.
	streamPartTimeout = 20 * time.Second
)

// stream sends the output of write as it is written. If write fails before the first
// part is sent, the response is an error page without the stream's headers. If it fails
// later, the error wraps [http.ErrAbortHandler]: the connection is closed, because a
// complete response would seem to contain everything.
func stream(out *echo.Response, headers http.Header, write func(io.Writer) error) error {
	parts := bufio.NewWriterSize(streamParts{out}, streamPart)
	err := write(parts)
	if err == nil {
		err = parts.Flush()
	}
	if err != nil && out.Committed {
		return fmt.Errorf("%w: %w", http.ErrAbortHandler, err)
	}
	if err != nil {
		for name := range headers {
			out.Header().Del(name)
		}
	}
	return err
}

type streamParts struct{ out *echo.Response }

func (s streamParts) Write(part []byte) (int, error) {
	// Only a test's response has no deadline.
	_ = http.NewResponseController(s.out).SetWriteDeadline(time.Now().Add(streamPartTimeout))
	return s.out.Write(part)
}

// commit stores what changed in the session and adds the session cookie to the response
// if it has to be sent. A handler that shows what was stored calls commit itself; the
// second call does nothing.
func (s *Site) commit(c echo.Context) error {
	sess, w := current(c), c.Response()
	if err := s.Sessions.Commit(sess); err != nil {
		return err
	}
	s.Sessions.WriteCookie(w, sess)
	if t := traceOf(c.Request().Context()); t != nil {
		t.SentCookies(w.Header()["Set-Cookie"])
	}
	return nil
}

// token returns the value of the session cookie; "" if there is none, or if there are
// several, since it cannot know which one this site set.
func (s *Site) token(c echo.Context) string {
	value, count := findCookie(c.Request(), s.sessionCookie)
	if count != 1 {
		value = ""
	}
	if t := traceOf(c.Request().Context()); t != nil {
		t.GotCookie(s.sessionCookie, value, count)
	}
	return value
}

// safe reports whether the request's method is one that must not change
// anything (RFC 9110, section 9.2.1).
func safe(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead
}

// bufferedResponse holds a handler's response until the session is stored.
type bufferedResponse struct {
	bytes.Buffer               // the body
	header       http.Header   // the handler's own, without those of the middleware
	echo         echo.Response // the handler's view of this one, with the status
}

func (b *bufferedResponse) Header() http.Header { return b.header }
func (b *bufferedResponse) WriteHeader(int)     {}
