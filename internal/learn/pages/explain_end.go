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

// The second half of the way: who it is, what was stored, what went back.

func (e *explanation) recognised(step trace.Step, what trace.Recognised) {
	e.known = true
	if what.Reason == "" {
		e.add(step, explainStep{
			ID: "name", Title: "The name was found",
			Text:      "It is in the record, put there when you logged in. So the greeting needs nothing else.",
			Facts:     []explainFact{{Term: "You are", Value: what.Name}},
			Hand:      []string{e.curl("", "profile") + " | grep -o '<h1>.*</h1>'"},
			HandWords: "It prints the greeting.",
		})
		return
	}
	title, text := nobody(what.Reason)
	e.add(step, explainStep{ID: "name", Title: title, Text: text, Facts: []explainFact{{Term: "You are", Value: "nobody yet"}}})
}

// nobody explains why a sender is a guest.
func nobody(why session.Reason) (title, text string) {
	const notAdopted = " Nor does the server adopt it: if it did, others could choose your token for you."
	switch why {
	case session.IllFormed:
		return "Nobody: the cookie was not believed", "A cookie is only text, and anyone can write one. The server cannot have made this one, so it asked no store." + notAdopted
	case session.NotFound:
		return "Nobody: there is nothing under that key", "The token looks right but leads nowhere: it was invented, or its session has ended. The server cannot tell which, and need not." + notAdopted
	case session.Unreadable:
		return "Nobody: the record could not be read", "Bytes that are damaged, or of a version this server does not know, belong to nobody. They were removed."
	case session.Newer:
		return "Nobody here: a newer server wrote the record", "It has a version that this server does not know. The record is left as it is: a newer server beside this one knows who you are."
	case session.Idle:
		return "Nobody: the session was unused for too long", "It went unused for longer than its limit allows, so it is over, although the record was still there."
	case session.TooOld:
		return "Nobody: the session is too old", "However much it is used, a session ends one day. This one is over, although the record was still there."
	case session.OfGuest:
		return "A guest, known as the same guest", "The session is there and holds what you stored at /session. It belongs to no account until you log in, and then it gets a new token."
	default:
		return "Nobody yet", "Without a token there is nothing to look up, so no store was asked. To this server you are a guest like any other."
	}
}

// noSQL explains that recognising a person needs no SQL.
func (e *explanation) noSQL() {
	s := explainStep{
		Title: "SQL needed: none",
		Text:  "The database knows your e-mail and the hash of your password. Logging in needs it; recognising you does not. So every page is fast, and you are greeted even while the database is down.",
	}
	if e.site.SessionStore == store.KindDatabase && e.reads > 0 {
		s.Title = "SQL needed: for the record alone"
		s.Text = "Sessions are a table of the database here, so the question above was SQL. Your e-mail and the hash of your password were not looked at. With the database down nobody is greeted: that is what a store apart from it is for."
	}
	if len(e.sql) > 0 {
		s.Title = "SQL needed: " + web.Count(len(e.sql), "statement")
		s.Text = "Not to find your name: the connection to Redis was new, and before anything read over it was believed, the server looked up which sessions had ended. This request waited for that."
	}
	for _, statement := range e.sql {
		s.Facts = append(s.Facts, explainFact{Term: "Statement", Value: oneLine(statement.Text), Code: true})
	}
	e.shown = append(e.shown, s)
}

func (e *explanation) commit(step trace.Step, what trace.Commit) {
	s := explainStep{}
	seen := explainFact{Term: "Last visit noted", Time: web.MomentAt(what.Seen, e.now)}
	switch what.Act {
	case session.Looked:
		s.Title = "Nothing was written"
		s.Text = "This request changed nothing. A visit is noted at most once every " + span(what.Every) + ", so looking at pages reads the store and does not write to it."
		s.Facts = []explainFact{seen}
	case session.Touched:
		s.Title = "Your visit was noted"
		s.Text = "The last note was older than " + span(what.Every) + ", so the time of this request was written, and the idle limit starts again."
		s.Facts = []explainFact{seen}
	case session.Nobody:
		s.Title = "Nothing was written"
		s.Text = "A guest costs nothing: no record, no cookie. A session begins when there is something to remember."
	default:
		s.Title = "The session was written"
		s.Text = "Something in it changed: " + strings.Join(what.Changes, ", ") + ". It was written before this page was sent, so what the page says is what happened."
		s.Facts = []explainFact{seen}
	}
	if what.Cause != "" {
		s.Text = "It was time to note this visit, but the store refused. A page that only reads does not fail because of that; the next one tries again."
		s.Facts = append(s.Facts, failedFact(what.Cause)...)
	}
	if len(e.writes) > 0 && what.Cause == "" && (what.Act == session.Touched || what.Act == session.Stored) {
		s.Text += " It was written only because the record was still as it had been read: had the session ended meanwhile, nothing would have brought it back. Comparing and writing are one step that no other write can come between. What makes them one here is " + e.site.OneStep + "."
	}
	for _, write := range e.writes {
		if op, ok := write.What.(trace.Operation); ok {
			s.Facts = append(s.Facts, explainFact{Term: "Command", Value: op.Text, Code: true, Means: milliseconds(write.Took)})
		}
	}
	e.add(step, s)
}

func (e *explanation) answer(step trace.Step, what trace.Answer) {
	s := explainStep{
		ID: "page", Title: "No session cookie was sent back",
		Text:      "There is none to give: a guest gets one by storing a value at /session, or by logging in.",
		Hand:      []string{e.curl(" -I", "explain") + " | grep -ic '^set-cookie: " + e.site.Sessions.CookieName() + "=' || true"},
		HandWords: "It prints how many session cookies the answer sets: 0.",
	}
	if e.sess.Stored() {
		s.Text = "Your browser already has it. It was sent once, when this session began, with attributes that each prevent something."
		s.Folded = "The cookie, word by word"
		s.Facts = attributes(e.sess.Cookie(), e.sent.Value.String())
	}
	for _, sent := range what {
		s.Facts = append(s.Facts, explainFact{
			Term: "Sent with this page", Value: sent.Name + "=" + sent.Value.String() + "; " + strings.Join(sent.Attributes, "; "), Code: true,
			Means: "another cookie: it carried the message that you are logged out to this page, and is removed now",
		})
	}
	e.add(step, s)
}

// attributes explains the session cookie word by word.
func attributes(cookie *http.Cookie, masked string) []explainFact {
	facts := []explainFact{{Term: "Name and value", Value: cookie.Name + "=" + masked, Code: true, Means: "a random token: nothing in it to read or guess"}}
	if strings.HasPrefix(cookie.Name, "__Host-") {
		facts[0].Means += "; the name begins with __Host-, so no other host can plant one"
	}
	add := func(set bool, word, means, otherwise string) {
		if !set {
			word, means = "no "+word, otherwise
		}
		facts = append(facts, explainFact{Term: word, Means: means})
	}
	add(cookie.HttpOnly, "HttpOnly", "no script can read it, so one smuggled into a page cannot steal it", "")
	add(cookie.SameSite == http.SameSiteLaxMode, "SameSite=Lax",
		"other sites cannot send forms in your name: the cookie is not sent along", "")
	add(cookie.Secure, "Secure", "it only travels encrypted, so nobody on the way can read it", "this server speaks http; on https, Secure keeps the cookie from ever travelling unencrypted")
	add(cookie.Path != "", "Path="+cookie.Path, "sent to every page of this site", "")
	add(cookie.Domain != "", "Domain", "", "sent to this host only, not to its neighbours or subdomains")
	age := "Max-Age"
	if cookie.MaxAge > 0 {
		age += "=" + strconv.Itoa(cookie.MaxAge)
	}
	add(cookie.MaxAge > 0, age, "the browser keeps it for "+span(time.Duration(cookie.MaxAge)*time.Second)+", as you asked; the server ends the session by its own clock all the same",
		"the browser forgets it when it closes, so it is not left on a borrowed computer; one that restores its tabs keeps it")
	return facts
}

// oneLine writes a statement on one line.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
