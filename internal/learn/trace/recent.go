package trace

import (
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast/internal/session"
)

// What is kept of the requests that are over.
const (
	PerSession  = 20   // requests of one session
	MaxSessions = 1000 // sessions; the one without a request for the longest leaves
	perRequest  = 24   // commands and statements of one request
)

// Request is what is kept of one request when it is over. It has no stored
// bytes and no values.
type Request struct {
	At      time.Time
	Method  string
	Path    string // of the route, without a query
	Status  int
	Took    Took
	Calls   []Call      // in order
	Left    int         // commands and statements not kept
	Act     session.Act // "" when nothing was decided: the request failed before
	Changes []string
	Cookies []Sent
}

// Call is one command to the store of sessions, or one SQL statement.
type Call struct {
	To    string // the store, or "SQL"
	Text  string
	Took  Took
	Cause string
}

// Recent is the memory of recent requests, session by session. It is safe for
// concurrent use, and bounded however many sessions there are.
type Recent struct {
	mu       sync.Mutex
	sessions map[string]*history // by the store's name for the session
	kept     int                 // requests so far
}

type history struct {
	requests []Request // the oldest first
	latest   int       // number of the latest one
}

// NewRecent returns an empty memory.
func NewRecent() *Recent { return &Recent{sessions: map[string]*history{}} }

// Keep stores what rec saw of a request that is over: under the session it began,
// or else the one it came with. Of a request without a session nothing is kept,
// and of a session that ended, or that a login replaced, nothing stays.
func (m *Recent) Keep(rec *Recorder, r Request) {
	before := rec.summarise(&r)
	key := rec.Session()
	m.mu.Lock()
	defer m.mu.Unlock()
	if before != key {
		delete(m.sessions, before)
	}
	if key == "" {
		return
	}
	h := m.sessions[key]
	if h == nil {
		m.makeRoom()
		h = &history{}
		m.sessions[key] = h
	}
	m.kept++
	h.latest = m.kept
	h.requests = append(h.requests, r)
	if len(h.requests) > PerSession {
		h.requests = slices.Delete(h.requests, 0, 1)
	}
}

// makeRoom forgets the session without a request for the longest, if there is no
// room for one more.
func (m *Recent) makeRoom() {
	if len(m.sessions) < MaxSessions {
		return
	}
	oldest := ""
	for key, h := range m.sessions {
		if oldest == "" || h.latest < m.sessions[oldest].latest {
			oldest = key
		}
	}
	delete(m.sessions, oldest)
}

// Of returns the requests of one session, the latest first.
func (m *Recent) Of(key string) []Request {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.sessions[key]
	if h == nil {
		return nil
	}
	requests := slices.Clone(h.requests)
	slices.Reverse(requests)
	return requests
}

// All returns every request that is kept.
func (m *Recent) All() []Request {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Request
	for _, h := range m.sessions {
		all = append(all, h.requests...)
	}
	return all
}

// summarise puts into r what is kept of the steps, and returns the session that
// ended, or went on elsewhere, in this request.
func (r *Recorder) summarise(into *Request) (before string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	into.Left = r.left
	for _, step := range r.steps {
		var call Call
		switch what := step.What.(type) {
		case Operation:
			call = Call{To: strings.ToUpper(what.Store[:1]) + what.Store[1:], Text: what.Text, Took: step.Took, Cause: what.Cause}
		case Statement:
			call = Call{To: "SQL", Text: what.Text, Took: step.Took, Cause: what.Cause}
		case Commit:
			into.Act, into.Changes, before = what.Act, what.Changes, what.Before
			continue
		case Answer:
			into.Cookies = what
			continue
		default:
			continue
		}
		if len(into.Calls) == perRequest {
			into.Left++
			continue
		}
		into.Calls = append(into.Calls, call)
	}
	return before
}
