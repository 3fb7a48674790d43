package pages

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/internal/learn/byhand"
	"holdfast/internal/learn/trace"
	"holdfast/internal/session"
	"holdfast/web"
)

// explanation puts what was recorded of one request into words.
type explanation struct {
	site  *Pages
	sess  *session.Session
	now   time.Time
	steps []trace.Step

	sent   trace.Cookie
	byHand byhand.Lines
	shown  []explainStep
	taken  int               // how many of them, without the one that is left to the reader
	known  bool              // who is asking is settled
	writes []trace.Step      // operations since then
	reads  int               // operations before
	store  string            // what they asked
	sql    []trace.Statement // all of them

	key      string // under which a session was looked for; or ""
	answered string // what the store answered, in a word or two
}

// all explains every step in the order in which it was taken.
func (e *explanation) all() []explainStep {
	for _, step := range e.steps {
		e.explain(step)
	}
	e.taken = len(e.shown)
	e.deleteIt()
	ids, token := map[string]bool{}, false
	for i := range e.shown {
		s := &e.shown[i]
		if s.ID == "" || ids[s.ID] {
			s.ID = "step-" + strconv.Itoa(i+1)
		}
		ids[s.ID] = true
		needs := slices.ContainsFunc(s.Hand, func(line string) bool { return strings.Contains(line, "$TOKEN") })
		s.Token, token = needs && !token, token || needs
	}
	return e.shown
}

// way draws the request, each arrow with its value.
func (e *explanation) way(name string) web.FlowDiagram {
	d := e.site.Flow(name)
	d.Linked, d.Record, d.Page = true, e.answered, web.FlowArrow{Value: "no new cookie", Linked: true}
	if d.Record == "" {
		d.Record = "not asked"
	}
	switch e.sent.Count {
	case 0:
		d.Cookie = web.FlowArrow{Value: "none", Linked: true, Empty: true}
	case 1:
		d.Cookie = web.FlowArrow{Value: e.sent.Value.String(), Linked: true}
	default:
		d.Cookie = web.FlowArrow{Value: "several", Linked: true}
	}
	if e.key != "" {
		d.Key = web.FlowArrow{Value: web.Ends(e.key), Linked: true}
		d.Answer = web.FlowArrow{Value: e.answered, Linked: e.answered != ""}
	}
	return d
}

// deleteIt adds what to do next: remove the record, and see that nothing else knew
// who sent the request.
func (e *explanation) deleteIt() {
	if !e.sess.Stored() || e.sent.Count != 1 {
		return
	}
	s := explainStep{
		ID: "delete", Title: "Now delete it, and load this page again",
		Text:      "The server has nothing but this record to know you by. Take it away, and the same cookie leads to nobody; log in again to get a new one.",
		Hand:      []string{e.byHand.Drop},
		HandWords: "It removes the record from the store. Then reload this page.",
		ToDo:      true,
	}
	if e.byHand.Drop == "" {
		s.Hand = []string{e.curl(" -o /dev/null -d ''", "logout")}
		s.HandWords = "Nothing but this server reaches the store, so this logs the session out, which removes the record. Then reload this page."
	}
	e.shown = append(e.shown, s)
}

func (e *explanation) explain(step trace.Step) {
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

// add adds one step, with the code that took it.
func (e *explanation) add(step trace.Step, s explainStep) {
	source := step.Source()
	s.File, s.Function = source.File, source.Function
	if step.Took > 0 {
		s.Took = milliseconds(step.Took)
	}
	e.shown = append(e.shown, s)
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
			ID: "cookie", Title: "Your browser sent no session cookie",
			Text: "A request says nothing about who sent the one before. A browser is recognised by the cookie it was given earlier and sends along every time. " +
				"Yours has none for this site: you have not logged in, or the session has ended.",
			Facts:     []explainFact{{Term: "Cookie", Value: "no " + what.Name, Code: true}},
			Hand:      []string{e.curl(" -H 'Accept: application/json'", "session")},
			HandWords: "Any other program without a cookie is a stranger too: it prints \"member\":null.",
		})
	case 1:
		e.add(step, explainStep{
			ID: "cookie", Title: "Your browser sent a cookie",
			Text: "A request says nothing about who sent the one before. So the browser adds the cookie it was given: a token that means nothing by itself, " +
				"and the only thing in this request that sets you apart from anyone else.",
			Facts: []explainFact{
				{Term: "Cookie", Value: what.Name + "=" + what.Value.String(), Code: true,
					Means: "(masked: whoever has all of it is you)"},
			},
			Hand:      []string{e.curl(" -H 'Accept: application/json'", "session")},
			HandWords: "To this server, another program with the same cookie is the same person.",
		})
	default:
		e.add(step, explainStep{
			ID: "cookie", Title: "Your browser sent several session cookies",
			Text:  "There is no telling which of them is the right one, and another site may have planted one. So none is believed.",
			Facts: []explainFact{{Term: "Cookies", Value: fmt.Sprintf("%d × %s", what.Count, what.Name), Code: true}},
		})
	}
}

func (e *explanation) form(step trace.Step, what trace.Form) {
	s := explainStep{
		Title: "It has the form of a token",
		Text:  "This server’s tokens are 32 random bytes, far more possibilities than anyone can try, written as 43 characters. It looks up nothing of any other form.",
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
	e.byHand, e.key = e.site.ByHand(what.Key), what.Key
	e.add(step, explainStep{
		ID: "key", Title: "The token became a key",
		Text: "Sessions are stored under the token’s SHA-256, not under the token itself. No key leads back to a token, " +
			"so whoever reads the store, or a backup of it, cannot log in with what is there.",
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
	s := explainStep{Facts: []explainFact{{Term: "Command", Value: what.Text, Code: true, Means: milliseconds(step.Took)}}}
	switch {
	case name != "GET" && name != "Find":
		s.Title = "The record was removed"
		s.Text = "It is of no use to anyone any more."
	default:
		s.ID, s.Title = "store", capital(what.Store)+" was asked"
		s.Text = "One question, by the exact key. Nothing is searched, so it takes the same time however many people are logged in."
		e.answered = yes(what.Found, web.Count(what.Size, "byte"), "nothing")
		s.Facts = append(s.Facts, explainFact{Term: "Answer", Value: e.answered})
		e.lookByHand(&s)
	}
	s.Facts = append(s.Facts, failedFact(what.Cause)...)
	e.add(step, s)
	if what.Found {
		e.bytes(step, what)
	}
}

func (e *explanation) connection(step trace.Step, what trace.Connection) {
	e.add(step, explainStep{
		Title: "A connection was opened",
		Text:  "The connection to Redis was new, and this request waited for it. An older copy of Redis may have come back, with sessions that have ended since. So before anything in it is believed, the server reads the heartbeat that stands there, ends once more whatever has ended since that beat, and writes a new one.",
		Facts: append([]explainFact{{Term: "Heartbeat", Value: what.Beat, Code: true}}, failedFact(what.Cause)...),
	})
}

// failedFact is why something failed, if it did.
func failedFact(cause string) []explainFact {
	if cause == "" {
		return nil
	}
	return []explainFact{{Term: "Failed", Value: cause, Code: true}}
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
		ID: "record", Title: "These bytes came back",
		Text:   "All the server knows about this session, as text anyone can read (JSON). There is no password and no token in it.",
		Folded: "The " + web.Count(what.Size, "byte"),
		Facts:  []explainFact{{Term: "Size", Value: web.Count(what.Size, "byte"), Means: "laid out below; stored without spaces and line breaks"}},
		Bytes:  byhand.Pretty(what.Bytes),
	}
	if e.byHand.Size != "" {
		s.Hand, s.HandWords = []string{e.byHand.Size}, "It prints how many bytes there are."
	}
	e.add(step, s)
}

func (e *explanation) decoded(step trace.Step, what trace.Decoded) {
	var facts []explainFact
	value := func(path, value, means string) {
		facts = append(facts, explainFact{Term: path, Value: value, Code: true, Means: means})
	}
	at := func(path string, t time.Time, means string) {
		value(path, strconv.FormatInt(t.UnixMilli(), 10), means)
		facts[len(facts)-1].Time = web.MomentAt(t, e.now)
	}
	value("v", strconv.Itoa(session.RecordVersion), "version of the layout")
	at("created", what.CreatedAt, "when this session began, in milliseconds since 1970")
	at("seen", what.LastSeenAt, "last visit that was noted")
	at("ends", what.ExpiresAt, "ends at the latest")
	if member := what.Member; member != nil {
		value("member.id", member.ID, "whose it is")
		value("member.name", member.Name, "what the greeting says")
		value("member.start", strconv.FormatInt(member.Start, 10), "how many times the server had started when you logged in")
		value("member.device", member.Device, "its entry on the Devices page; not a secret")
		if member.Remember {
			value("member.remember", "true", "you asked to be kept logged in")
		}
	}
	for _, key := range slices.Sorted(maps.Keys(what.Values)) {
		value("values."+trace.Hide(key), trace.Hide(what.Values[key]), "a value stored at /session")
	}
	for _, flash := range what.Flashes {
		value("notices", trace.Hide(flash.Text), "a message for the next page")
	}
	e.add(step, explainStep{
		Title:  "The bytes became a record",
		Text:   "The server reads them field by field, the version first. Damaged bytes, or ones of a version it does not know, would belong to nobody.",
		Folded: "The " + web.Count(len(facts), "field"),
		Facts:  facts,
	})
}

func (e *explanation) check(step trace.Step, what trace.Check) {
	idle := "last visit noted " + web.Distance(what.Record.LastSeenAt.Sub(what.Now)) + ", limit " + span(what.Limits.Idle)
	if member := what.Record.Member; member != nil && member.Remember {
		idle = "no limit: you asked to be kept logged in"
	}
	until := func(term string, end time.Time, means string) explainFact {
		return explainFact{Term: term, Value: yes(what.Now.Before(end), "yes", "no"), Ends: web.MomentAt(end, e.now), Means: means}
	}
	s := explainStep{
		Title: "The session was checked",
		Text:  "A record alone is not enough. On every request the server checks both limits by its own clock, whatever the store or the browser may think.",
		Facts: []explainFact{
			{Term: "Not ended", Value: "yes", Means: "logging out, here or on another device, removes the record, and nothing brings it back"},
			until("Not idle too long", what.Limits.IdleExpiresAt(what.Record), idle),
			until("Not too old", what.Record.ExpiresAt, "however much it is used"),
		},
	}
	if e.byHand.Left != "" {
		s.Hand, s.HandWords = []string{e.byHand.Left}, "It prints how many seconds the store will keep the record, counted from the last visit that was noted."
	}
	e.add(step, s)
}
