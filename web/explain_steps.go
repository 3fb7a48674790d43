package web

import (
	"fmt"
	"strings"
	"time"

	"holdfast/internal/learn/byhand"
	"holdfast/internal/learn/trace"
	"holdfast/internal/session"
)

// explanation puts what was recorded of one request into words.
type explanation struct {
	site  *Site
	sess  *session.Session
	now   time.Time
	steps []trace.Step

	sent   trace.Cookie
	byHand byhand.Lines
	told   []explainStep
	known  bool              // who is asking is settled
	writes []trace.Step      // operations since then
	reads  int               // operations before
	store  string            // what they asked
	sql    []trace.Statement // all of them
}

// all tells every step in the order in which it was taken.
func (e *explanation) all() []explainStep {
	for _, step := range e.steps {
		e.tell(step)
	}
	return e.told
}

func (e *explanation) tell(step trace.Step) {
	switch what := step.What.(type) {
	case trace.Cookie:
		e.cookie(step, what)
	case trace.Form:
		e.form(step, what)
	case trace.Hash:
		e.hash(step, what)
	case trace.Operation:
		if e.known {
			e.writes = append(e.writes, step)
			return
		}
		e.operation(step, what)
	case trace.Connection:
		e.connection(step, what)
	case trace.Decoded:
		e.decoded(step, what)
	case trace.Check:
		e.check(step, what)
	case trace.Statement:
		e.sql = append(e.sql, what)
	case trace.Recognised:
		e.recognised(step, what)
	case trace.Commit:
		e.noSQL()
		e.commit(step, what)
	case trace.Answer:
		e.answer(step, what)
	}
}

// add tells one step, with the code that took it.
func (e *explanation) add(step trace.Step, s explainStep) {
	source := step.Source()
	s.File, s.Function = source.File, source.Function
	if step.Took > 0 {
		s.Took = milliseconds(step.Took)
	}
	e.told = append(e.told, s)
}

// url is the address of a page of this site, as people reach it.
func (e *explanation) url(page string) string { return e.site.BaseURL.JoinPath(page).String() }

// curl is a line that asks for a page with the cookie from $TOKEN, if this
// request had one.
func (e *explanation) curl(options, page string) string {
	line := "curl -s" + options
	if e.sent.Count == 1 {
		line += ` --cookie "` + e.sent.Name + `=$TOKEN"`
	}
	return line + " " + e.url(page)
}

func (e *explanation) cookie(step trace.Step, what trace.Cookie) {
	e.sent = what
	switch what.Count {
	case 0:
		e.add(step, explainStep{
			Title: "Your browser sent no session cookie",
			Text: "A request is a few lines of text, and nothing in them says who sent the one before. " +
				"A browser is recognised by the cookie it was given earlier and sends along with every request. Yours has none for this site: you have not logged in, or the session has ended.",
			Facts:     []explainFact{{Term: "Cookie", Value: "no " + what.Name, Code: true}},
			Hand:      []string{e.curl(" -H 'Accept: application/json'", "session")},
			HandWords: "Another program without a cookie is a stranger too: it prints \"member\":null.",
		})
	case 1:
		e.add(step, explainStep{
			Title: "Your browser sent a cookie",
			Text: "A request is a few lines of text, and nothing in them says who sent the one before. " +
				"So the browser adds the cookie that it was given: a token that means nothing by itself. It is the only thing in this request that tells you from anybody else.",
			Facts: []explainFact{
				{Term: "Cookie", Value: what.Name + "=" + what.Value.String(), Code: true,
					Means: "Masked, because whoever has the whole of it is you."},
				{Term: "Length", Value: count(what.Value.Length(), "character")},
			},
			Hand:      []string{e.curl(" -H 'Accept: application/json'", "session")},
			HandWords: "Another program with the same cookie is the same person to this server.",
		})
	default:
		e.add(step, explainStep{
			Title: "Your browser sent several session cookies",
			Text:  "Which of them is the right one nobody can say; one may have been planted by another site. So none is believed.",
			Facts: []explainFact{{Term: "Cookies", Value: fmt.Sprintf("%d × %s", what.Count, what.Name), Code: true}},
		})
	}
}

func (e *explanation) form(step trace.Step, what trace.Form) {
	s := explainStep{
		Title: "It has the form of a token",
		Text:  "The server makes its tokens of 32 random bytes: more possibilities than anybody can try. Written in letters, digits, - and _ that is 43 characters. Anything else it cannot have made, and does not look up.",
		Facts: []explainFact{
			{Term: "Characters", Value: fmt.Sprintf("%d of %d", what.Length, what.Want)},
			{Term: "Alphabet", Value: yes(what.Alphabet, "letters, digits, - and _", "other characters, or a broken end")},
		},
		Hand:      []string{`printf %s "$TOKEN" | wc -c`},
		HandWords: "It prints the number of characters.",
	}
	if !what.Good {
		s.Title = "It is no token of this server"
	}
	e.add(step, s)
}

func (e *explanation) hash(step trace.Step, what trace.Hash) {
	e.byHand = e.site.ByHand(what.Key)
	e.add(step, explainStep{
		Title: "The token became a key",
		Text: "Sessions are not kept under the token but under its SHA-256. That goes one way only: the token leads to the key, and no key leads back to a token. " +
			"So whoever reads the store, or a backup of it, cannot log in with what is there.",
		Facts: []explainFact{
			{Term: "SHA-256, in base64url", Value: what.Key, Code: true},
			{Term: "Key", Value: e.byHand.Name, Code: true},
		},
		Hand:      []string{`printf %s "$TOKEN" | openssl dgst -sha256 -binary | openssl base64 -A | tr '+/' '-_' | tr -d '='`},
		HandWords: "It prints the SHA-256.",
	})
}

func (e *explanation) operation(step trace.Step, what trace.Operation) {
	e.reads, e.store = e.reads+1, what.Store
	name, _, _ := strings.Cut(what.Text, " ")
	s := explainStep{Facts: []explainFact{{Term: "Command", Value: what.Text, Code: true}}}
	switch {
	case name != "GET" && name != "Find":
		s.Title = "What stood there was removed"
		s.Text = "It is of no use to anybody any more."
	default:
		s.Title = capital(storeName(what.Store)) + " was asked"
		s.Text = "One question, by its exact key. Nothing is searched, so it takes the same time however many people are logged in."
		s.Facts = append(s.Facts, explainFact{Term: "Answer", Value: yes(what.Found, count(what.Size, "byte"), "nothing stands there")})
		e.lookByHand(&s)
	}
	if what.Cause != "" {
		s.Facts = append(s.Facts, explainFact{Term: "Failed", Value: what.Cause, Code: true})
	}
	e.add(step, s)
	if what.Found {
		e.bytes(step, what)
	}
}

func (e *explanation) connection(step trace.Step, what trace.Connection) {
	s := explainStep{
		Title: "A connection was opened",
		Text:  "The connection to Redis was new, and this request waited for it. An older copy of Redis may have come back, with sessions that have ended since. So before anything in it is believed, the server reads the heartbeat that stands there, ends once more whatever has ended since that beat, and writes a new one.",
		Facts: []explainFact{{Term: "Heartbeat", Value: what.Beat, Code: true}},
	}
	if what.Cause != "" {
		s.Facts = append(s.Facts, explainFact{Term: "Failed", Value: what.Cause, Code: true})
	}
	e.add(step, s)
}

// lookByHand adds the line that asks the store past this server.
func (e *explanation) lookByHand(s *explainStep) {
	s.HandWords = e.byHand.Why
	if e.byHand.Read != "" {
		s.Hand = []string{e.byHand.Read}
		s.HandWords = strings.TrimSpace("It prints what the store has. " + e.byHand.Why)
	}
}

func (e *explanation) bytes(step trace.Step, what trace.Operation) {
	step.Took = 0
	s := explainStep{
		Title: "These bytes came back",
		Text:  "All that the server knows about this session, as text anybody can read (JSON). It has no password and no token in it.",
		Facts: []explainFact{{Term: "Size", Value: count(what.Size, "byte"), Means: "laid out below; stored without spaces and line breaks"}},
		Bytes: byhand.Pretty(what.Bytes),
	}
	if e.byHand.Size != "" {
		s.Hand, s.HandWords = []string{e.byHand.Size}, "It prints how many bytes there are."
	}
	e.add(step, s)
}

func (e *explanation) decoded(step trace.Step, what trace.Decoded) {
	s := explainStep{
		Title: "The bytes became a record",
		Text:  "The server reads them field by field. The first says by which version of the layout: bytes of another version, or damaged ones, would belong to nobody.",
	}
	for _, field := range what.Fields {
		fact := explainFact{Term: field.Path, Value: field.Value, Code: true, Means: meaning(field.Path)}
		if !field.Time.IsZero() {
			fact.Time = momentAt(field.Time, e.now)
		}
		s.Facts = append(s.Facts, fact)
	}
	if e.byHand.Read != "" {
		s.Hand, s.HandWords = []string{e.byHand.Read + ` | tr , '\n'`}, "It prints the fields one a line."
	}
	e.add(step, s)
}

func (e *explanation) check(step trace.Step, what trace.Check) {
	idle := "no limit of its own: you asked to be kept logged in"
	if what.Idle > 0 {
		idle = "last use noted " + distance(what.Seen.Sub(what.Now)) + ", limit " + span(what.Idle)
	}
	s := explainStep{
		Title: "The session was checked",
		Text:  "Having a record is not enough. The server checks both limits by its own clock on every request, whatever the store or the browser may think.",
		Facts: []explainFact{
			{Term: "Not ended", Value: "yes", Means: "logging out, here or from another device, removes the record, and nothing brings it back"},
			{Term: "Not idle too long", Value: yes(what.Now.Before(what.IdleEnd), "yes", "no"), Ends: momentAt(what.IdleEnd, e.now), Means: idle},
			{Term: "Not too old", Value: yes(what.Now.Before(what.Deadline), "yes", "no"), Ends: momentAt(what.Deadline, e.now), Means: "however much it is used"},
		},
	}
	if e.byHand.Left != "" {
		s.Hand, s.HandWords = []string{e.byHand.Left}, "It prints how many seconds the store will keep the record, counted from the last use that was noted."
	}
	e.add(step, s)
}
