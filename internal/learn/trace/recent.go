package trace

import (
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast/internal/session"
)

// What is kept of finished requests.
const (
	PerSession  = 20   // requests of one session
	MaxSessions = 1000 // sessions; the least recently used one is dropped first
	perRequest  = 24   // commands and statements of one request
)

// Request is what is kept of a finished request. It has no stored bytes and no
// values.
type Request struct {
	At      time.Time
	Method  string
	Path    string // of the route, without a query
	Status  int
	Took    Took
	Calls   []Call      // in order
	Left    int         // commands and statements not kept
	Act     session.Act // "" if the request failed before its commit
	Changes []string
	Cookies []Sent
}

// Call is one session store command, or one SQL statement.
type Call struct {
	To    string // the store, or "SQL"
	Text  string
	Took  Took
	Cause string
}

// Recent keeps the recent requests of each session in memory. It is safe for
// concurrent use, and bounded.
type Recent struct {
	mu       sync.Mutex
	sessions map[string]*history // by the key of the session
	kept     int                 // requests so far
}

type history struct {
	requests []Request // the oldest first
	latest   int       // number of the latest one
}

// NewRecent returns an empty Recent.
func NewRecent() *Recent { return &Recent{sessions: map[string]*history{}} }

// Keep stores what rec recorded of a finished request, under the session that it
// started, or else the one it was sent with. It keeps nothing of a request without a
// session, and drops what it has of a session that ended or that a login replaced.
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

// makeRoom drops the least recently used session, if there is no room for another.
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

// Of returns the requests of one session, the last one first.
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

// summarise fills in what is kept of the steps, and returns the key of the session
// that ended, or got a new token, in this request.
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
