package web

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"holdfast/internal/learn/trace"
)

// The second half of the way: who it is, what was stored, what went back.

func (e *explanation) recognised(step trace.Step, what trace.Recognised) {
	e.known = true
	if what.Member {
		e.add(step, explainStep{
			Title:     "The name was found",
			Text:      "It stands in the record itself, put there when you logged in. So the greeting needs nothing else.",
			Facts:     []explainFact{{Term: "You are", Value: what.Name}},
			Hand:      []string{e.curl("", "profile") + " | grep -o '<h1>.*</h1>'"},
			HandWords: "It prints the greeting.",
		})
		return
	}
	title, text := nobody(what.Reason)
	e.add(step, explainStep{Title: title, Text: text, Facts: []explainFact{{Term: "You are", Value: "nobody yet"}}})
}

// nobody tells why a sender is a guest.
func nobody(why trace.Reason) (title, text string) {
	const notAdopted = " It is not made into one either: a server that adopted what it is sent would let others choose your token for you."
	switch why {
	case trace.IllFormed:
		return "Nobody: the cookie was not believed", "A cookie is only text, and anybody can write one. This one the server cannot have made, so no store was asked." + notAdopted
	case trace.NotFound:
		return "Nobody: nothing stands under that key", "The token looks right and leads nowhere: it was invented, or its session has ended. The server cannot tell which, and need not." + notAdopted
	case trace.Unreadable:
		return "Nobody: the record could not be read", "Bytes that are damaged, or of a version that this server does not know, belong to nobody. They were removed."
	case trace.Newer:
		return "Nobody here: a newer server wrote the record", "It has a version that this server does not know. The record is left as it is: a newer server beside this one knows who you are."
	case trace.Idle:
		return "Nobody: the session was idle too long", "It has not been used for longer than its limit, so it is over, though the record was still there."
	case trace.TooOld:
		return "Nobody: the session has reached its greatest age", "However much it is used, a session ends one day. It is over, though the record was still there."
	case trace.GuestToken:
		return "Nobody yet, but the same nobody", "The session is there and holds what you put in at /session. It belongs to no account until you log in, and then under a new token."
	default:
		return "Nobody yet", "Without a token there is nothing to look up, and no store was asked. To this server you are a guest, one like any other."
	}
}

// noSQL tells of the database, which is not needed to know somebody.
func (e *explanation) noSQL() {
	s := explainStep{
		Title: "SQL needed: none",
		Text:  "The database of people was not asked. It knows your e-mail and the hash of your password, and is needed to log in; to be recognised, nobody needs it. That keeps every page fast, and greets you even while the database is down.",
	}
	if len(e.sql) > 0 {
		s.Title = "SQL needed: " + count(len(e.sql), "statement")
		s.Text = "Not to find your name: the connection to Redis was new, and before anything that came over it was believed, the sessions that ended lately were looked up. This request waited for that."
	}
	for _, statement := range e.sql {
		s.Facts = append(s.Facts, explainFact{Term: "Statement", Value: oneLine(statement.Text), Code: true})
	}
	e.told = append(e.told, s)
}

func (e *explanation) commit(step trace.Step, what trace.Commit) {
	s := explainStep{}
	seen := explainFact{Term: "Last use noted", Time: momentAt(what.Seen, e.now)}
	switch what.Act {
	case trace.Looked:
		s.Title = "Nothing was written"
		s.Text = "This request changed nothing. That you were here is noted only when the last note is older than " + span(what.Every) + ", so looking at pages is reading and not writing."
		s.Facts = []explainFact{seen}
	case trace.Touched:
		s.Title = "Your visit was noted"
		s.Text = "The last note was older than " + span(what.Every) + ", so the time of this request was written, and the idle limit begins anew."
		s.Facts = []explainFact{seen}
	case trace.Nobody:
		s.Title = "Nothing was written"
		s.Text = "A guest costs nothing: no record, no cookie. A session begins when there is something to keep."
	default:
		s.Title = "The session was written"
		s.Text = "Something in it changed: " + strings.Join(what.Changes, ", ") + ". It was written before this page was sent, so what the page says has happened."
		s.Facts = []explainFact{seen}
	}
	if what.Cause != "" {
		s.Text = "It was time to note this visit, and the store refused. A page that only looks does not fail for that; the next one tries again."
		s.Facts = append(s.Facts, explainFact{Term: "Failed", Value: what.Cause, Code: true})
	}
	if len(e.writes) > 0 && what.Cause == "" && (what.Act == trace.Touched || what.Act == trace.Stored) {
		s.Text += " It was written only because the record stood as it had been read: had the session ended meanwhile, nothing would have brought it back. Looking and writing are one step that no other write comes between. What makes them one here is " + e.site.OneStep + "."
	}
	for _, write := range e.writes {
		if op, ok := write.What.(trace.Operation); ok {
			s.Facts = append(s.Facts, explainFact{Term: "Command", Value: op.Text, Code: true, Means: milliseconds(write.Took)})
		}
	}
	if what.Key != "" && e.byHand.Read != "" {
		s.Hand, s.HandWords = []string{e.byHand.Read + ` | grep -o '"seen":[0-9]*'`}, "It prints the last use that was noted. Load this page again at once, and it has not moved."
	}
	e.add(step, s)
}

func (e *explanation) answer(step trace.Step, what trace.Answer) {
	s := explainStep{
		Title:     "No session cookie was sent back",
		Text:      "There is none to give: a guest gets one with the first value put in at /session, or by logging in.",
		Hand:      []string{e.curl(" -I", "explain") + " | grep -ic '^set-cookie: " + e.site.Sessions.CookieName() + "=' || true"},
		HandWords: "It prints how many session cookies the answer sets: 0.",
	}
	if e.sess.Stored() {
		s.Text = "Your browser has it already and would only be told the same again. It was sent once, when this session began, with these words; each keeps something from happening."
		s.Facts = attributes(e.sess.Cookie(), e.sent.Value.String())
	}
	for _, sent := range what.Cookies {
		s.Facts = append(s.Facts, explainFact{
			Term: "Sent with this page", Value: sent.Name + "=" + sent.Value.String() + "; " + strings.Join(sent.Attributes, "; "), Code: true,
			Means: "another cookie: it carried the word that you are logged out to this page, and goes now",
		})
	}
	e.add(step, s)
}

// attributes explains the session cookie word by word.
func attributes(cookie *http.Cookie, masked string) []explainFact {
	facts := []explainFact{{Term: "Name and value", Value: cookie.Name + "=" + masked, Code: true, Means: "a random token: nothing in it to read or to guess"}}
	if strings.HasPrefix(cookie.Name, "__Host-") {
		facts[0].Means += "; the name begins with __Host-, so no other host can plant one"
	}
	add := func(set bool, word, means, otherwise string) {
		if !set {
			word, means = "no "+word, otherwise
		}
		facts = append(facts, explainFact{Term: word, Means: means})
	}
	add(cookie.HttpOnly, "HttpOnly", "no script can read it, so one that slips into a page cannot steal it", "")
	add(cookie.SameSite == http.SameSiteLaxMode || cookie.SameSite == http.SameSiteStrictMode, sameSiteWords(cookie.SameSite),
		"other sites cannot send forms in your name: the cookie stays home", "")
	add(cookie.Secure, "Secure", "it travels encrypted only, so nobody on the way reads it", "this server speaks http; on https, Secure keeps it from ever travelling unencrypted")
	add(cookie.Path != "", "Path="+cookie.Path, "sent to every page of this site", "")
	add(cookie.Domain != "", "Domain", "", "sent to this host alone, to none beside or below it")
	age := "Max-Age"
	if cookie.MaxAge > 0 {
		age += "=" + strconv.Itoa(cookie.MaxAge)
	}
	add(cookie.MaxAge > 0, age, "the browser keeps it for "+span(time.Duration(cookie.MaxAge)*time.Second)+", as you asked; the server forgets it by its own clock all the same",
		"it goes when the browser is closed, so it is not left on a borrowed computer")
	return facts
}

// oneLine writes a statement on one line.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
