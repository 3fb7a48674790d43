package pages

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/internal/learn/byhand"
	"holdfast/internal/learn/trace"
	"holdfast/internal/product"
	"holdfast/internal/session"
	"holdfast/web"
)

// explanation describes what was recorded of one request.
type explanation struct {
	site  *Pages
	sess  *session.Session
	now   time.Time
	steps []trace.Step

	sources map[trace.Source]bool // whose lines are shown

	sent   trace.Cookie
	byHand byhand.Lines
	shown  []explainStep
	taken  int               // how many of them, without the one left to the reader
	known  bool              // whether the sender has been determined
	writes []trace.Step      // operations after that
	reads  int               // operations before that
	store  string            // the store that was read
	sql    []trace.Statement // all of them

	key      string // the key that was looked up; or ""
	answered string // what the store returned, in a word or two
	stored   []byte // what it returned
}

// all explains every step in the order in which it was taken.
func (e *explanation) all() []explainStep {
	for _, step := range e.steps {
		e.explain(step)
	}
	e.merge()
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

// way returns the flow diagram of the request, each arrow with its value.
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

// deleteIt adds what to do next: delete the record, and see that the server knew
// its sender by nothing else.
func (e *explanation) deleteIt() {
	if !e.sess.Stored() || e.sent.Count != 1 {
		return
	}
	s := explainStep{
		ID: "delete", Title: "Now delete the record and reload this page",
		Text:      "This record is all the server knows you by. Without it, the same cookie no longer logs you in. To get a new one, log in again.",
		Hand:      []string{e.byHand.Drop},
		HandWords: "This deletes the record from the store. Then reload this page.",
		ToDo:      true,
	}
	if e.byHand.Drop == "" {
		s.Hand = []string{e.curl(" -o /dev/null -d ''", "logout")}
		s.HandWords = "Only this server can reach the store, so this logs you out, which deletes the record. Then reload this page."
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

// merge makes one step of the last ones if none of them had anything to do.
func (e *explanation) merge() {
	first := len(e.shown)
	for first > 0 && e.shown[first-1].quiet {
		first--
	}
	if len(e.shown)-first < 2 {
		return
	}
	all := e.shown[len(e.shown)-1] // the answer
	all.Title, all.Text, all.Sources, all.Parts = "Nothing else had to be done", "", nil, slices.Clone(e.shown[first:])
	for _, s := range all.Parts {
		all.Sources = append(all.Sources, s.Sources...)
	}
	e.shown = append(e.shown[:first], all)
}

// add adds one step, with the code that took it.
func (e *explanation) add(step trace.Step, s explainStep) {
	source := step.Source()
	s.Sources = []explainSource{{source.File, source.Function, ""}}
	if !e.sources[source] {
		e.sources[source], s.Sources[0].Lines = true, step.Lines()
	}
	if step.Took > 0 {
		s.Took = step.Took.String()
	}
	e.shown = append(e.shown, s)
}

// curl returns a command that requests a page with the cookie from $TOKEN, if this
// request had one.
func (e *explanation) curl(options, page string) string {
	line := "curl -s" + options
	if e.sent.Count == 1 {
		line += ` --cookie "` + e.sent.Name + `=$TOKEN"`
	}
	return line + " " + e.site.BaseURL.JoinPath(page).String()
}

func (e *explanation) cookie(step trace.Step, what trace.Cookie) {
	e.sent = what
	switch what.Count {
	case 0:
		e.add(step, explainStep{
			ID: "cookie", Title: "Your browser sent no session cookie",
			Text: "HTTP requests are independent: nothing in one says who sent the last. A server recognises a browser by a cookie it set earlier, which the browser sends every time. " +
				"Yours has none for this site: you have not logged in, or your session has ended.",
			Facts:     []explainFact{{Term: "Cookie", Value: "no " + what.Name, Code: true}},
			Hand:      []string{e.curl(" -H 'Accept: application/json'", "session")},
			HandWords: "Any program without the cookie is a guest too: this prints \"member\":null.",
		})
	case 1:
		e.add(step, explainStep{
			ID: "cookie", Title: "Your browser sent a cookie",
			Text: "HTTP requests are independent: nothing in one says who sent the last. So the browser sends the cookie it was given: a token that means nothing by itself " +
				"and is the only thing in this request that identifies you.",
			Facts: []explainFact{
				{Term: "Cookie", Value: what.Name + "=" + what.Value.String(), Code: true,
					Means: "(masked: anyone with the whole value can act as you)"},
			},
			Hand:      []string{e.curl(" -H 'Accept: application/json'", "session")},
			HandWords: "To this server, another program with the same cookie is the same person.",
		})
	default:
		e.add(step, explainStep{
			ID: "cookie", Title: "Your browser sent several session cookies",
			Text:  "The server cannot tell which one is right, and another site may have planted one. So it trusts none of them.",
			Facts: []explainFact{{Term: "Cookies", Value: fmt.Sprintf("%d × %s", what.Count, what.Name), Code: true}},
		})
	}
}

func (e *explanation) form(step trace.Step, what trace.Form) {
	s := explainStep{
		Title: "It looks like a token",
		Text:  "This server’s tokens are 32 random bytes, written as 43 characters: too many possibilities to guess. It does not look up anything else.",
		Facts: []explainFact{
			{Term: "Characters", Value: fmt.Sprintf("%d of %d", what.Length, session.TokenLength)},
			{Term: "Alphabet", Value: yes(what.Alphabet, "letters, digits, - and _", "other characters, or an incomplete end")},
		},
		Hand:      []string{`printf %s "$TOKEN" | wc -c`},
		HandWords: "This prints the number of characters.",
	}
	if !what.Good {
		s.Title = "It is not one of this server’s tokens"
	}
	e.add(step, s)
}

func (e *explanation) hash(step trace.Step, what trace.Hash) {
	e.byHand, e.key = e.site.ByHand(what.Key), what.Key
	e.add(step, explainStep{
		ID: "key", Title: "The token became a key",
		Text: "Sessions are stored under the SHA-256 of the token, not the token itself. A key cannot be turned back into its token, " +
			"so someone who reads the store, or a backup of it, cannot log in with what they find.",
		Facts: []explainFact{
			{Term: "SHA-256, in base64url", Value: what.Key, Code: true},
			{Term: "Key", Value: e.byHand.Name, Code: true},
		},
		Hand:      []string{`printf %s "$TOKEN" | openssl dgst -sha256 -binary | openssl base64 -A | tr '+/' '-_' | tr -d '='`},
		HandWords: "This prints the SHA-256.",
	})
}

func (e *explanation) operation(step trace.Step, what trace.Operation) {
	e.reads, e.store = e.reads+1, storeName(what.Store)
	name, _, _ := strings.Cut(what.Text, " ")
	s := explainStep{Facts: []explainFact{{Term: "Command", Value: what.Text, Code: true, Means: step.Took.String()}}}
	switch {
	case name != "GET" && name != "Find":
		s.Title = "The record was deleted"
		s.Text = "It could not be used any more."
	default:
		s.ID, s.Title = "store", "Looked up in "+e.store
		s.Text = "One lookup, by the exact key. There is no search, so it takes the same time however many people are logged in."
		e.answered = yes(what.Found, web.Count(what.Size, "byte"), "nothing")
		s.Facts = append(s.Facts, explainFact{Term: "Answer", Value: e.answered})
		s.HandWords = e.byHand.Why
		if e.byHand.Read != "" {
			s.Hand = []string{e.byHand.Read, e.byHand.List}
			s.HandWords = strings.TrimSpace("The first line prints what is stored, the second the keys of all sessions. " + e.byHand.Why)
		}
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
		Text:  "This request needed a new connection to Redis, and waited for it. Redis may have been restored from an older copy, with sessions that have ended since. So before it trusts anything there, the server reads the stored heartbeat, removes every session that ended after it, and writes a new one.",
		Facts: append([]explainFact{{Term: "Heartbeat", Value: product.Heartbeat, Code: true}}, failedFact(what.Cause)...),
	})
}

// failedFact returns the cause of a failure, if there was one.
func failedFact(cause string) []explainFact {
	if cause == "" {
		return nil
	}
	return []explainFact{{Term: "Failed", Value: cause, Code: true}}
}

func (e *explanation) bytes(step trace.Step, what trace.Operation) {
	e.stored = what.Bytes
	step.Took = 0
	s := explainStep{
		ID: "record", Title: "These bytes came back",
		Text:   "This is all the server knows about this session, as text anyone can read (JSON). It holds no password and no token.",
		Folded: "The " + web.Count(what.Size, "byte"),
		Facts:  []explainFact{{Term: "Size", Value: web.Count(what.Size, "byte"), Means: "formatted below; stored without spaces or line breaks"}},
		Bytes:  byhand.Pretty(what.Bytes),
	}
	if e.byHand.Size != "" {
		s.Hand, s.HandWords = []string{e.byHand.Size}, "This prints how many bytes there are."
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
	value("v", strconv.Itoa(session.RecordVersion), "version of the record’s format")
	var marks struct{ Key, Write string }
	if json.Unmarshal(e.stored, &marks) == nil && marks.Key != "" {
		value("key", marks.Key, "the beginning of its key, so that it cannot be taken for another session’s record")
		value("write", marks.Write, "random, and new each time it is saved, so that a save sent twice is recognised")
	}
	at("created", what.CreatedAt, "when this session began, in milliseconds since 1970")
	at("seen", what.LastSeenAt, "last recorded visit")
	at("ends", what.ExpiresAt, "ends no later than this")
	if member := what.Member; member != nil {
		value("member.id", member.ID, "the ID of your account")
		value("member.name", member.Name, "your name, for the greeting")
		value("member.start", strconv.FormatInt(member.Start, 10), "how many times the server had started when you logged in")
		value("member.device", member.Device, "its entry on the Devices page; not a secret")
		if member.Remember {
			value("member.remember", "true", "you chose to stay logged in")
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
		Text:   "The server reads them field by field, the version first. If they were damaged, or of a version it does not know, you would be a guest.",
		Folded: "The " + web.Count(len(facts), "field"),
		Facts:  facts,
	})
}

func (e *explanation) check(step trace.Step, what trace.Check) {
	until := func(term string, end time.Time, means string) explainFact {
		if what.Now.Before(end) {
			return explainFact{Term: term, Value: "not reached", Ends: web.MomentAt(end, e.now), Means: means}
		}
		return explainFact{Term: term, Value: "reached", Time: web.MomentAt(end, e.now), Means: means}
	}
	idle := until("Idle limit", what.Limits.IdleExpiresAt(what.Record),
		"last visit recorded "+web.Distance(what.Record.LastSeenAt.Sub(what.Now))+"; limit "+web.Lasting(what.Limits.IdleOf(what.Record)))
	if member := what.Record.Member; member != nil && member.Remember {
		idle = explainFact{Term: "Idle limit", Value: "none, you chose to stay logged in"}
	}
	s := explainStep{
		Title: "The session was checked",
		Text:  "Finding a record is not enough. On every request the server checks both limits by its own clock, whatever the store or the browser says.",
		Facts: []explainFact{
			{Term: "Still active", Value: "yes", Means: "logging out, here or from another device, deletes the record for good"},
			idle,
			until("Age limit", what.Record.ExpiresAt, "however active you are"),
		},
	}
	if e.byHand.Left != "" {
		s.Hand, s.HandWords = []string{e.byHand.Left}, "This prints how many seconds are left until the store drops the record."
	}
	e.add(step, s)
}
