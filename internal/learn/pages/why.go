package pages

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"holdfast/internal/httpserver"
	"holdfast/internal/learn/restartcheck"
	"holdfast/internal/learn/second"
	"holdfast/internal/product"
	"holdfast/internal/session"
	"holdfast/internal/session/store"
	"holdfast/web"
)

// SecondServer is another server on the same stores.
type SecondServer interface {
	// Start starts it, or records why it refuses to start. Errors: second.ErrRunning.
	Start(context.Context) error
	Stop()
	State() second.State
	// Ask returns how it greets the browser with this session cookie; "" for a
	// guest.
	Ask(ctx context.Context, token string) (string, error)
}

// whyPage answers the questions that follow from keeping sessions in Redis. Only
// with LEARN does it measure or start anything.
type whyPage struct {
	Learn    bool
	Member   bool
	Memory   bool // whether sessions are in the server's memory
	Store    string
	Faults   []memoryFault
	Measured web.Moment
	Known    bool // whether the faults have been measured
	Signed   restartcheck.StateRow
	Second   secondPart
	Endings  []sessionEnding
	States   []sessionState
	Thieves  []thief
	HTTPS    bool
	Cookie   string
	Wire     []wireRow
}

// memoryFault is one thing that is wrong with sessions in a server's memory.
type memoryFault struct{ Fault, Why, Memory, Here string }

// secondPart is the state of the second server.
type secondPart struct {
	Blocked  string // why it cannot be started here; "" when it can
	Running  bool
	Process  int
	URL      string // of the page there that greets
	Ends     web.Moment
	Greeting string // its greeting; "" for a guest
	Means    string
	Refusal  string // its error when it refused to start
	Failed   string // why it could not be reached
	Guess    guess
}

type sessionEnding struct{ Way, Who, Checked, Left string }

// sessionState is one state of a session, and what can happen next.
type sessionState struct{ Name, Means, On string }

type thief struct{ Has, Can, Cannot, Remedy string }

type wireRow struct{ What, HTTP, HTTPS string }

func (s *Pages) showWhy(c echo.Context) error {
	return s.whyPage(c, http.StatusOK, "")
}

// submitSecond starts the second server. A refusal to start is also a result.
func (s *Pages) submitSecond(c echo.Context) error {
	if s.BaseURL.Scheme == "https" {
		return c.Redirect(http.StatusSeeOther, "/why#second")
	}
	err := s.Lab.Second.Start(c.Request().Context())
	switch {
	case errors.Is(err, second.ErrClosed):
		return httpserver.ErrRestarting
	case err != nil && !errors.Is(err, second.ErrRunning):
		web.LogCause(c, err)
		return s.whyPage(c, http.StatusServiceUnavailable, "The second server did not start in time. See this server’s log.")
	}
	if err == nil {
		judge(web.Current(c), secondGuess().guessed(c), s.madeOfCookie(c))
	}
	return c.Redirect(http.StatusSeeOther, "/why#second")
}

// madeOfCookie returns how the second server treats the sender's cookie.
func (s *Pages) madeOfCookie(c echo.Context) string {
	if !s.Lab.Second.State().Running {
		return restartcheck.Refused
	}
	if greeting, err := s.Lab.Second.Ask(c.Request().Context(), s.tokenOf(c)); err == nil && greeting != "" {
		return restartcheck.Known
	}
	return restartcheck.Stranger
}

func (s *Pages) tokenOf(c echo.Context) string {
	cookie, err := c.Cookie(s.Sessions.CookieName())
	if err != nil {
		return ""
	}
	return cookie.Value
}

func (s *Pages) submitSecondStop(c echo.Context) error {
	s.Lab.Second.Stop()
	return c.Redirect(http.StatusSeeOther, "/why#second")
}

func (s *Pages) whyPage(c echo.Context, status int, failed string) error {
	p := whyPage{
		Learn: s.Learn, Memory: s.InMemory(), Store: s.Sessions.Where(), HTTPS: s.BaseURL.Scheme == "https", Cookie: s.Sessions.CookieName(),
		Endings: sessionEndings(s.Sessions.Limits()), States: sessionStates(), Thieves: thieves(), Wire: wireRows(s.Sessions.CookieName()),
	}
	_, p.Member = web.Current(c).Member()
	var measured []restartcheck.StateRow
	if s.Learn {
		state, err := s.Lab.Check.State()
		if err != nil {
			return err
		}
		measured = state.Rows
		p.Known = !state.Measured.IsZero()
		p.Measured = web.MomentAt(state.Measured, s.Now())
		p.Second = s.secondPart(c, p.Member)
		p.Second.Failed = cmp.Or(failed, p.Second.Failed)
	}
	p.Faults, p.Signed = memoryFaults(measured), rowOf(measured, restartcheck.JWT)
	return s.Render(c, status, "why", "Why it works", p)
}

func (s *Pages) secondPart(c echo.Context, member bool) secondPart {
	if s.BaseURL.Scheme == "https" {
		return secondPart{Blocked: "This server uses https, so browsers only send its cookie encrypted. A second server would use plain http on its own port, and browsers would not send it the cookie."}
	}
	state := s.Lab.Second.State()
	p := secondPart{Running: state.Running, Refusal: state.Refusal, Guess: secondGuess()}
	if !state.Running {
		if p.Refusal != "" {
			p.Means = s.whyRefused()
		}
		return p
	}
	p.Process, p.Ends = state.Process, web.MomentAt(state.Ends, s.Now())
	// Browsers keep cookies by host name, so the link to the second server needs the
	// name of this request.
	name := (&url.URL{Host: c.Request().Host}).Hostname()
	p.URL = "http://" + net.JoinHostPort(name, strconv.Itoa(state.Port)) + "/profile"
	var err error
	p.Greeting, err = s.Lab.Second.Ask(c.Request().Context(), s.tokenOf(c))
	switch {
	case err != nil:
		web.LogCause(c, err)
		p.Failed = "We couldn’t reach the second server. Reload this page."
	case p.Greeting != "":
		p.Means = "Another process, which has never seen you, turned your cookie into the same key and found the same record in the same place: " + s.Sessions.Where() + ". The two are interchangeable: a proxy can send you to either."
		if s.Embedded {
			p.Means += " Here that place is inside the first server, and the second reaches it through a socket. So the second cannot work without the first, and stops with it. With a separate Redis (REDIS_URL), either can stop while the other keeps serving."
		}
	case !member:
		p.Means = "You are not logged in, so neither server has a name to greet you by. Log in, then reload this page."
	case s.InMemory():
		p.Means = "Your session is in the first server’s memory, which no other process can read. With two copies behind a proxy, only every other click would find you logged in."
	default:
		p.Means = "The second server did not find your session. It may have just ended."
	}
	return p
}

// whyRefused explains why two servers cannot have this store open.
func (s *Pages) whyRefused() string {
	switch s.SessionStore {
	case store.KindRedis:
		return "Other processes reach the embedded Redis through a socket, but this system has no sockets, or the path of DATA_DIR is too long for one. Any number of servers can share a separate Redis (REDIS_URL)."
	case store.KindFile:
		return "One process has the file open and locked. A second could not know what the first is about to write, so it refuses to start."
	default:
		return "Two servers cannot open these stores at the same time."
	}
}

// rowOf returns what a check found for a store; a zero StateRow if it found nothing.
func rowOf(rows []restartcheck.StateRow, store string) restartcheck.StateRow {
	for _, row := range rows {
		if row.Store == store {
			return row
		}
	}
	return restartcheck.StateRow{}
}

// memoryFaults returns the three problems of sessions in a server's memory, each with
// what the last check found on this machine.
func memoryFaults(rows []restartcheck.StateRow) []memoryFault {
	memory, redis := rowOf(rows, store.KindMemory), rowOf(rows, store.KindRedis)
	return []memoryFault{
		{"It forgets", "Memory is lost when the process ends. A restart, a crash or a new version logs everyone out at once.", memory.Restart, redis.Restart},
		{"It cannot be shared", "No other process can read it. A second server would not recognise anyone, so there can only be one.", memory.Second, redis.Second},
		{"It grows", "Every session takes up memory until it ends, even if the visitor never comes back. The program needs that memory for other work.", memory.Growth.Text, redis.Growth.Text},
	}
}

func sessionEndings(limits session.Limits) []sessionEnding {
	// What Devices says under Past sessions.
	past := func(hows ...session.RevokeReason) string {
		var words []string
		for _, how := range hows {
			words = append(words, "“"+web.RevocationWords(how)+"”")
		}
		return "an entry under Past sessions: " + strings.Join(words, " or ")
	}
	const submitted = "as soon as the server gets the form; on other devices, at the next request"
	return []sessionEnding{
		{"Log out", "you, on this device", "as soon as the server gets the form", past(session.RevokedByLogOut) + "; your browser drops the cookie"},
		{"Log out a device, or everywhere else", "you, from another device", submitted, past(session.RevokedByOwner) + "; the cookie on that device no longer works"},
		{"A new login in the same browser", "you", "when you enter the right password", past(session.RevokedByLogIn) + ", a new token and a new record"},
		{"A new password", "you: all other sessions end, or all of them if you use an emailed link", submitted, past(session.RevokedByPassword)},
		{"A change of email address is undone", "anyone with the email sent to the old address: all sessions end", submitted, past(session.RevokedByUndo)},
		{"The account is deleted", "you: all sessions end", submitted, past(session.RevokedByClosing) + ", for 7 days if an emailed link can keep the account. After that, only the keys of the ended sessions, until they would have expired"},
		{"You have more than " + strconv.Itoa(session.MaxLive) + " sessions: the oldest ends", "the server, when you log in", "when a session is added", past(session.RevokedByLimit)},
		{"Idle for too long: " + web.Lasting(limits.Idle), "no one: a time limit, which “keep me logged in” removes", "on every request, by the server’s clock; the store also drops the record by itself", past(session.RevokedByTime)},
		{"Too old, however active: " + web.Lasting(limits.Lifetime), "no one: a time limit; with “keep me logged in” it is " + web.Lasting(limits.Remember), "on every request, by the server’s clock", past(session.RevokedByTime)},
		{"An administrator ends it or disables the account", "the person who runs the command", "when the command runs", past(session.RevokedByOperator, session.RevokedByDisable)},
		{"The browser drops the cookie", "the browser, when it closes and does not restore its tabs", "never: the server does not find out", "the record, until it has been idle for too long"},
		{"The store loses it", "a restart, with sessions in memory", "at the next request", "a cookie that no longer works"},
		{"An older copy of the store is restored", "the person who restores a backup", "before any session in it is trusted", "sessions that had ended stay ended"},
	}
}

func sessionStates() []sessionState {
	return []sessionState{
		{"No session", "No cookie, no record.", "Viewing pages changes nothing. Storing a value at /session starts a guest session. Logging in starts a member session."},
		{"A guest session", "A token in the cookie, and a record with values and no name.",
			"Logging in replaces the token, so no one who knew the old one is logged in as you."},
		{"A member session", "A token in the cookie, and a record with the name.",
			"Every request reads it; the time of your last visit is saved about once a minute, or more often if the idle limit is short. Logging in again replaces the token."},
		{"Ended", "No record. If the cookie is still there, it no longer works.",
			"An ended session never comes back, whatever requests are in progress and whatever copy of the store is restored."},
	}
}

func thieves() []thief {
	return []thief{
		{"The cookie", "act as you from anywhere: see and do everything that does not need your password",
			"learn your password, see other people’s sessions, or carry on after the session ends",
			"Log out, here or from another device: the copy stops working at once. The Devices page shows when each session began"},
		{"Read access to the store", "read names, values and times of all sessions",
			"log in: the store holds SHA-256 hashes of tokens, and a hash cannot be turned back into its token",
			"No session needs to be ended. Keep secrets out of sessions"},
		{"Write access to the store", "end sessions, change names, and log in as anyone by storing a record under the hash of a token they made up",
			"learn a password",
			"A dedicated Redis with a username and password, reachable only by this server"},
		{"A backup of the store", "read the store, as it was then",
			"log in; and restoring it does not bring ended sessions back",
			"Protect it like the store itself"},
		{"A backup of the database", "read names, email addresses and who logged in when and from where, and try passwords against their hashes",
			"log in, or try more than a few passwords a second on each CPU: they are hashed with Argon2id",
			"Long passwords. Tell people, and ask them to choose new ones"},
	}
}

func wireRows(cookie string) []wireRow {
	plain := strings.TrimPrefix(cookie, product.CookieName("", true))
	return []wireRow{
		{"The cookie’s name", plain, product.CookieName(plain, true) + ": browsers accept a cookie with this name only from this exact host, over https, for all its pages. No other host on the same domain can plant one"},
		{"Secure", "not set: the cookie is sent unencrypted like everything else, and anyone in between can copy it", "set: the browser sends it encrypted or not at all"},
		{"Strict-Transport-Security", "not sent", "for two years the browser uses https, even if you type http"},
		{"Ports", "cookies ignore them: a cookie that another server on this host sets, on any port, is sent here too, and the other way round", "the same, but the prefix keeps out cookies set without https"},
	}
}
