package pages

import (
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
	"holdfast/internal/session"
	"holdfast/internal/session/store"
	"holdfast/web"
)

// SecondServer is a server beside this one, on the same stores.
type SecondServer interface {
	// Start starts it, or finds out why it refuses: second.ErrRunning.
	Start(context.Context) error
	Stop()
	State() second.State
	// Ask returns how it greets the browser with this session cookie; "" for a
	// guest.
	Ask(ctx context.Context, token string) (string, error)
}

// whyPage answers the questions that follow from keeping sessions in Redis. What is measured or started is there with LEARN alone.
type whyPage struct {
	Learn    bool
	Member   bool
	Memory   bool // whether sessions are in the server's memory
	Store    string
	Faults   []memoryFault
	Measured web.Moment
	Known    bool // whether the faults have been measured
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

// secondPart is what became of the second server.
type secondPart struct {
	Blocked  string // why it cannot be started here; "" when it can
	Running  bool
	Process  int
	URL      string // of the page there that greets
	Ends     web.Moment
	Greeting string // what it answered; "" for a stranger
	Means    string
	Refusal  string // what it said when it refused to start
	Failed   string // why it could not be asked
}

type sessionEnding struct{ Way, Who, Checked, Left string }

// sessionState is one state of a session, and the way on from it.
type sessionState struct{ Name, Means, On string }

type thief struct{ Has, Can, Cannot, Remedy string }

type wireRow struct{ What, HTTP, HTTPS string }

func (s *Pages) showWhy(c echo.Context) error {
	return s.whyPage(c, http.StatusOK, "")
}

// submitSecond starts the second server. One that refuses is as good an answer.
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
		return s.whyPage(c, http.StatusServiceUnavailable, "The second server did not come up in time. The log of this one says how far it came.")
	}
	return c.Redirect(http.StatusSeeOther, "/why#second")
}

func (s *Pages) submitSecondStop(c echo.Context) error {
	s.Lab.Second.Stop()
	return c.Redirect(http.StatusSeeOther, "/why#second")
}

func (s *Pages) whyPage(c echo.Context, status int, failed string) error {
	p := whyPage{
		Learn: s.Learn, Memory: s.InMemory(), Store: s.Sessions.Where(), HTTPS: s.BaseURL.Scheme == "https", Cookie: s.Sessions.CookieName(),
		Endings: sessionEndings(), States: sessionStates(), Thieves: thieves(), Wire: wireRows(),
	}
	_, p.Member = web.Current(c).Member()
	if s.Learn {
		state, err := s.Lab.Check.State()
		if err != nil {
			return err
		}
		p.Known = !state.Measured.IsZero()
		p.Measured = web.MomentAt(state.Measured, s.Now())
		p.Faults = memoryFaults(state.Rows)
		p.Second = s.secondPart(c, p.Member)
		if failed != "" {
			p.Second.Failed = failed
		}
	} else {
		p.Faults = memoryFaults(nil)
	}
	return s.Render(c, status, "why", "Why it works", p)
}

func (s *Pages) secondPart(c echo.Context, member bool) secondPart {
	if s.BaseURL.Scheme == "https" {
		return secondPart{Blocked: "This server is reached by https, so browsers send its cookie encrypted only. A second one would speak plain http on its own port, and no browser would show it the cookie."}
	}
	state := s.Lab.Second.State()
	p := secondPart{Running: state.Running, Refusal: state.Refusal}
	if !state.Running {
		if p.Refusal != "" {
			p.Means = s.whyRefused()
		}
		return p
	}
	p.Process, p.Ends = state.Process, web.MomentAt(state.Ends, s.Now())
	// Cookies belong to the name that a browser asked for, so the second server
	// has to be asked by the same one.
	name := (&url.URL{Host: c.Request().Host}).Hostname()
	p.URL = "http://" + net.JoinHostPort(name, strconv.Itoa(state.Port)) + "/profile"
	token := ""
	if cookie, err := c.Cookie(s.Sessions.CookieName()); err == nil {
		token = cookie.Value
	}
	var err error
	p.Greeting, err = s.Lab.Second.Ask(c.Request().Context(), token)
	switch {
	case err != nil:
		web.LogCause(c, err)
		p.Failed = "The second server could not be asked just now. Load this page again."
	case p.Greeting != "":
		p.Means = "Another process, which has never seen you, made the same key of your cookie and found the same record in the same place: " + s.Sessions.Where() + ". The two are interchangeable; a proxy may send you to either."
	case !member:
		p.Means = "You are not logged in here, so there is nothing to find there either. Log in, and load this page again."
	case s.InMemory():
		p.Means = "Your session is in the memory of the first server, where no other process can look. With two copies behind a proxy you would be logged in only on every other click."
	default:
		p.Means = "Your session is not where the second server looks. Has it ended meanwhile?"
	}
	return p
}

// whyRefused says why two servers cannot have this store open.
func (s *Pages) whyRefused() string {
	switch s.SessionStore {
	case store.KindRedis:
		return "The embedded Redis is a file that one process has open. A second one could not know what the first is about to write, so it is refused at its start. A real Redis (REDIS_URL) is asked by any number of servers."
	case store.KindFile:
		return "One process has the file open and locks it. A second one could not know what the first is about to write, so it is refused at its start."
	default:
		return "The two cannot have these stores open at the same time."
	}
}

// memoryFaults are the three faults of a server's own memory, each with what the
// latest check found about it on this machine.
func memoryFaults(rows []restartcheck.StateRow) []memoryFault {
	cell := func(kind, head string) string {
		for _, row := range rows {
			if row.Store != kind {
				continue
			}
			for _, cell := range row.Cells {
				if strings.HasPrefix(cell.Head, head) {
					return cell.Text
				}
			}
		}
		return ""
	}
	faults := []memoryFault{
		{Fault: "It forgets", Why: "Memory ends with its process. A restart, a crash or a new version logs everybody out at once.", Memory: "after restart"},
		{Fault: "It cannot be shared", Why: "No other process can read it. A second server beside the first knows nobody, so there can only be one server.", Memory: "second server"},
		{Fault: "It grows", Why: "Every session stays until it ends, also those of visitors who never come back, in the memory that the program needs for its work.", Memory: "server memory"},
	}
	for i, f := range faults {
		faults[i].Memory, faults[i].Here = cell(store.KindMemory, f.Memory), cell(store.KindRedis, f.Memory)
	}
	if shared := &faults[1]; strings.HasPrefix(shared.Here, "refused") {
		shared.Here += ": the embedded Redis belongs to one process. The database, measured beside it: " + cell(store.KindDatabase, "second server")
	}
	return faults
}

func sessionEndings() []sessionEnding {
	// What Devices says under Past sessions.
	past := func(hows ...session.EndReason) string {
		var words []string
		for _, how := range hows {
			words = append(words, "“"+web.RevocationWords(how)+"”")
		}
		return "an entry under Past sessions: " + strings.Join(words, " or ")
	}
	const arrives = "when the form arrives; on other devices, with the next request"
	return []sessionEnding{
		{"Log out", "you, on this device", "when the form arrives", past(session.EndedByLogOut) + "; your browser drops the cookie"},
		{"Log out a device, or everywhere else", "you, from another device", arrives, past(session.EndedByOwner) + "; the cookie there leads nowhere"},
		{"A new log-in in the same browser", "you", "when the password is right", past(session.EndedByLogIn) + ", a new token and a new record"},
		{"A new password", "you: all other sessions end; by a mailed link, all of them", arrives, past(session.EndedByPassword)},
		{"A change of address is undone", "whoever has the mail to the old address: all sessions end", arrives, past(session.EndedByUndo)},
		{"The account is deleted", "you: all sessions end", arrives, "no name and no address; the keys of the ended sessions, until they could not be believed anyway"},
		{"The oldest of more than " + strconv.Itoa(session.MaxLive), "the server, at a log-in", "when a session is added", past(session.EndedByLimit)},
		{"Not used for too long", "nobody", "with every request, by the server’s clock; the store drops the record by itself, too", past(session.EndedByTime)},
		{"Too old, however much it is used", "nobody", "with every request, by the server’s clock", past(session.EndedByTime)},
		{"The operator ends it, or disables the account", "whoever runs the command", "when the command runs", past(session.EndedByOperator, session.EndedByDisable)},
		{"The browser drops the cookie", "the browser, when it closes and does not restore its tabs", "not at all: the server hears nothing of it", "the record, until it was not used for too long"},
		{"The store forgets it", "a restart, with sessions in memory", "with the next request", "a cookie that leads nowhere"},
		{"An older copy of the store comes back", "whoever restores a backup", "before any session in it is believed", "what had ended is ended again"},
	}
}

func sessionStates() []sessionState {
	return []sessionState{
		{"No session", "No cookie, no record.", "Looking at pages changes nothing. A value put in at /session begins a guest session, and logging in a member session."},
		{"A guest session", "A token in the cookie, and a record with values and no name.",
			"Logging in replaces the token, so that nobody who knew the old one is logged in with you."},
		{"A member session", "A token in the cookie, and a record with the name.",
			"Every request reads it; its last use is written down now and then. Logging in again replaces the token."},
		{"Ended", "No record. The cookie, if it is still there, leads nowhere.",
			"There is no way back: an ended session never returns, whatever is under way and whatever copy of the store is restored."},
	}
}

func thieves() []thief {
	return []thief{
		{"The cookie", "be you, from anywhere: see and do what you can without typing your password",
			"learn your password, see who else is logged in as somebody else, or go on after the session has ended",
			"Log out, here or from another device: the copy is worthless at once. Devices shows since when each session has been there"},
		{"The store, to read", "read names, values and times of all sessions",
			"log in: the store has SHA-256 hashes of tokens, and no hash leads back to its token",
			"Nothing has to be ended. Keep secrets out of sessions"},
		{"The store, to write", "end sessions, change names, and make up a record under the hash of a token of their own: be anybody",
			"learn a password",
			"A Redis of its own, with a user and a password, reached by this server alone"},
		{"A backup of the store", "the same as somebody who reads it, as it was then",
			"log in; and putting it back logs nobody back in",
			"Keep it as you keep the store"},
		{"A backup of the database", "read names, e-mails and who logged in when and from where, and try passwords against their hashes",
			"log in, or try more than a few passwords a second on each processor: they are hashed with Argon2id",
			"Long passwords. Tell people, and have them choose new ones"},
	}
}

func wireRows() []wireRow {
	return []wireRow{
		{"The cookie’s name", "session", "__Host-session: browsers take a cookie of that name only from this very host, encrypted, for all of its pages. No neighbour under the same domain can plant one"},
		{"Secure", "not set: the cookie travels as everything else does, and whoever is on the way can copy it", "set: the browser sends it encrypted or not at all"},
		{"Strict-Transport-Security", "not sent", "for two years the browser uses https by itself, also where http was typed"},
		{"Ports", "cookies do not know them: what another server on this host sets, on any port, comes here too, and what is set here goes there", "the same; the prefix keeps out what came unencrypted"},
	}
}
