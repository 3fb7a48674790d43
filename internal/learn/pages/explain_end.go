package pages

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"holdfast/internal/learn/trace"
	"holdfast/internal/session"
	"holdfast/internal/session/store"
	"holdfast/web"
)

// The last steps: who the sender is, what was stored, what was sent back.

func (e *explanation) recognised(step trace.Step, what trace.Recognised) {
	e.known = true
	if what.Reason == "" {
		e.add(step, explainStep{
			ID: "name", Title: "The name was found",
			Text:      "It was put in the record when you logged in, so the greeting needs nothing else.",
			Facts:     []explainFact{{Term: "You are", Value: what.Name}},
			Hand:      []string{e.curl("", "profile") + " | grep -o '<h1>.*</h1>'"},
			HandWords: "This prints the greeting.",
		})
		return
	}
	title, text := whyGuest(what.Reason)
	e.add(step, explainStep{ID: "name", Title: title, Text: text, Facts: []explainFact{{Term: "You are", Value: "a guest"}}})
}

// whyGuest explains why a sender is a guest.
func whyGuest(why session.Reason) (title, text string) {
	const notAdopted = " The server does not adopt it either, or someone else could choose your token for you."
	switch why {
	case session.IllFormed:
		return "A guest: the cookie was not trusted", "A cookie is only text, and anyone can write one. This server cannot have made this one, so it did not look it up." + notAdopted
	case session.NotFound:
		return "A guest: nothing is stored under that key", "The token looks right but matches nothing: it was made up, or its session has ended. The server cannot tell which, and does not need to." + notAdopted
	case session.Unreadable:
		return "A guest: the record could not be read", "Its bytes were damaged, or of a version this server does not know, so it was deleted."
	case session.Newer:
		return "A guest here: a newer server wrote the record", "This server does not know its version, so it left the record alone. A newer server running beside this one can read it."
	case session.Idle:
		return "A guest: the session was idle for too long", "It was idle for longer than the limit, so it has ended, although the record was still there."
	case session.TooOld:
		return "A guest: the session is too old", "Every session ends at a certain age, however active it is. This one has ended, although the record was still there."
	case session.OfGuest:
		return "A guest who has been here before", "Your session was found and holds what you stored at /session. It belongs to no account until you log in. Then it gets a new token."
	default:
		return "A guest", "Without a token there is nothing to look up. To this server you are a guest like any other."
	}
}

// noSQL explains that recognising a person needs no SQL.
func (e *explanation) noSQL() {
	s := explainStep{Title: "No SQL was needed", quiet: len(e.sql) == 0}
	_, member := e.sess.Member()
	switch {
	case member:
		s.Text = "The database holds your email address and a hash of your password. Logging in needs it; recognising you does not. So the greeting is fast, and works even while the database is down."
	case e.reads > 0:
		s.Text = "There is no account to look up."
	default:
		s.Text = "There is nothing to look up."
	}
	if e.site.SessionStore == store.KindDatabase && e.reads > 0 {
		s.Title, s.quiet = "SQL needed: only for the record", false
		s.Text = "Here, sessions are a table in the database, so the lookup above was SQL. Your email address and password hash were not read. While the database is down, no one is recognised: a separate store avoids that."
	}
	if len(e.sql) > 0 {
		s.Title = "SQL needed: " + web.Count(len(e.sql), "statement")
		s.Text = "Not to find your name. The connection to Redis was new, so before trusting it the server looked up which sessions had ended. This request waited for that."
	}
	for _, statement := range e.sql {
		s.Facts = append(s.Facts, explainFact{Term: "Statement", Value: statement.Text, Code: true})
	}
	e.shown = append(e.shown, s)
}

func (e *explanation) commit(step trace.Step, what trace.Commit) {
	s := explainStep{}
	seen := explainFact{Term: "Last recorded visit", Time: web.MomentAt(what.Seen, e.now)}
	switch what.Act {
	case session.Looked:
		s.quiet = what.Cause == ""
		s.Title = "Nothing was written"
		s.Text = "This request changed nothing. A visit is recorded at most once every " + every(what.Every) + " (the last one " + web.Distance(what.Seen.Sub(e.now)) + "), so most page views only read the store."
	case session.Touched:
		s.Title = "Your visit was recorded"
		s.Text = "The last recorded visit was more than " + web.Lasting(what.Every) + " ago, so this one was saved, and the idle limit starts again."
		s.Facts = []explainFact{seen}
	case session.NoSession:
		s.quiet = what.Cause == ""
		s.Title = "Nothing was written"
		s.Text = "A guest costs nothing: no record, no cookie. A session begins when there is something to remember."
	default:
		s.Title = "The session was saved"
		s.Text = "These things changed: " + strings.Join(what.Changes, ", ") + ". They were saved before this page was sent, so the page never claims something that was not saved."
		s.Facts = []explainFact{seen}
	}
	if what.Cause != "" {
		s.Text = "It was time to record this visit, but the store refused. A page that only reads does not fail because of that; the next one tries again."
		s.Facts = append(s.Facts, failedFact(what.Cause)...)
	}
	if len(e.writes) > 0 && what.Cause == "" && (what.Act == session.Touched || what.Act == session.Stored) {
		s.Text += " It was saved only because the record had not changed since it was read, so a session that has ended cannot come back. Comparing and saving are one step that no other write can interrupt. Here that step is " + e.site.OneStep + "."
	}
	for _, write := range e.writes {
		if op, ok := write.What.(trace.Operation); ok {
			s.Facts = append(s.Facts, explainFact{Term: "Command", Value: op.Text, Code: true, Means: write.Took.String()})
		}
	}
	e.add(step, s)
}

func (e *explanation) answer(step trace.Step, what trace.Answer) {
	s := explainStep{
		ID: "page", Title: "No session cookie was sent back", quiet: len(what) == 0,
		Text:      "There is none to send: a guest gets one by storing a value at /session or by logging in.",
		Hand:      []string{e.curl(" -I", "explain") + " | grep -ic '^set-cookie: " + e.site.Sessions.CookieName() + "=' || true"},
		HandWords: "This prints how many session cookies the response sets: 0.",
	}
	if e.sess.Stored() {
		s.Text = "Your browser already has it. It was sent once, when this session began. Each of its attributes prevents something."
		s.Folded = "The cookie, part by part"
		s.Facts = attributes(e.sess.Cookie(), e.sent.Value.String())
	}
	for _, sent := range what {
		s.Facts = append(s.Facts, explainFact{
			Term: "Sent with this page", Value: sent.String(), Code: true,
			Means: "a different cookie: it brought a message to this page and is now deleted",
		})
	}
	e.add(step, s)
}

// attributes explains the session cookie part by part.
func attributes(cookie *http.Cookie, masked string) []explainFact {
	facts := []explainFact{{Term: "Name and value", Value: cookie.Name + "=" + masked, Code: true, Means: "a random token: it says nothing and cannot be guessed"}}
	if strings.HasPrefix(cookie.Name, "__Host-") {
		facts[0].Means += "; the name begins with __Host-, so no other host can plant one"
	}
	add := func(set bool, word, means, otherwise string) {
		if !set {
			word, means = "no "+word, otherwise
		}
		facts = append(facts, explainFact{Term: word, Means: means})
	}
	add(cookie.HttpOnly, "HttpOnly", "no script can read it, so a script injected into a page cannot steal it", "")
	add(cookie.SameSite == http.SameSiteLaxMode, "SameSite=Lax",
		"other sites cannot submit forms as you: the cookie is not sent with them", "")
	add(cookie.Secure, "Secure", "it is only sent encrypted, so no one in between can read it", "this server uses http; with https, Secure stops the cookie from ever being sent unencrypted")
	add(cookie.Path != "", "Path="+cookie.Path, "sent to every page of this site", "")
	add(cookie.Domain != "", "Domain", "", "sent to this host only, not to sibling hosts or subdomains")
	age := "Max-Age"
	if cookie.MaxAge > 0 {
		age += "=" + strconv.Itoa(cookie.MaxAge)
	}
	add(cookie.MaxAge > 0, age, "the browser keeps it for "+web.Lasting(time.Duration(cookie.MaxAge)*time.Second)+", as you asked; the server still ends the session by its own clock",
		"the browser deletes it when it closes, so it does not stay on a shared computer; a browser that restores its tabs keeps it")
	return facts
}
