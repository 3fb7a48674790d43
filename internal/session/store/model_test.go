package store

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// This file is a model of heartbeat: two Redis copies, two servers, one session
// and its end, and every order of what can happen to them. One session is
// enough, because no step looks at two. beatMargin is 0 here: the model stamps
// and shows an ending in one step and has one clock.
//
// Time goes in ticks. In each tick a server whose Redis takes writes goes once
// through the steps of applyNew, in any order with all else; a server whose last
// step was a tick ago has stopped believing.

// modelled is a protocol: heartbeat's, or one with a fault in it.
type modelled struct {
	beatFirst   bool // the beat is written before the endings are applied
	noCheck     bool // a new connection is believed as it is
	blind       bool // steps are made whatever stands there
	beatsOnly   bool // steps look at the beat and not at the mark: a higher one is adopted
	neverAgain  bool // endings are applied on new connections only
	noLimit     bool // believed however long Redis takes no step
	keptOnHeal  bool // believed again with the next step that Redis takes
	halfApplied bool // a step that finds older data is left out, and the next one made
}

const (
	modelTicks  = 4 // as long as the longest way from a fault to where it must not be seen any more
	modelFaults = 2
	modelPast   = 4 // states of the data that a copy can fall back to, and the first one
)

// modelData is what a Redis holds.
type modelData struct {
	alive bool
	beat  int8
	marks [2]int8 // of each server
}

// modelCopy is a Redis with the states it has been in, the present one last.
type modelCopy struct {
	past    [modelPast]modelData
	n       int8
	refuses bool // takes no writes
}

func (c *modelCopy) now() modelData { return c.past[c.n-1] }

func (c *modelCopy) write(d modelData) {
	switch {
	case d == c.now():
		return
	case int(c.n) == modelPast:
		copy(c.past[1:], c.past[2:]) // the first one stays: last week's copy
		c.past[modelPast-1] = d
	default:
		c.past[c.n] = d
		c.n++
	}
}

// Where a server is with a connection, and with what it applies.
const (
	idle      int8 = iota
	beatRead       // check: it knows what stands there
	endsRead       // it knows the clock and the endings since
	removed        // the session is removed, if it has ended
	unchecked      // the connection is new
)

// modelServer is one server.
type modelServer struct {
	redis    int8
	doing    int8
	checking bool // on a connection that is not believed yet
	mark     int8 // its last step, as far as it knows
	marks    int8 // how many it has made
	beat     int8 // in the data at its last step
	clock    int8 // read before the endings
	found    bool // the session is among those that have ended
	fresh    bool // Redis took a step less than a tick ago
	done     bool // it has applied the endings of this tick
	slid     int8 // ticks since other data came under its connection, 2 for long
}

func (s modelServer) believes() bool { return !s.checking && s.fresh }

// modelState is everything.
type modelState struct {
	redis   [2]modelCopy
	servers [2]modelServer
	tick    int8
	ender   int8 // the server that has removed the session and not stamped its end; -1
	stamp   int8 // when the end was stamped; -1
	faults  int8 // that may still come
}

// modelStarts are what the orders begin with: both servers at one Redis, each at
// its own after a fail-over that one of them has not noticed, and the same with
// the old master cut off.
func modelStarts() []modelState {
	together := modelState{ender: -1, stamp: -1, tick: 1}
	for i := range together.redis {
		together.redis[i].n = 1
		together.redis[i].past[0] = modelData{alive: true}
	}
	for i := range together.servers {
		together.servers[i] = modelServer{slid: 2, fresh: true}
	}
	apart := together
	apart.servers[1].redis = 1
	cutOff := apart
	cutOff.redis[0].refuses = true
	return []modelState{together, apart, cutOff}
}

// wrong says what no state may show: a server that greets somebody whose end
// was stamped more than a tick ago, unless other data came under its connection
// within a tick.
func (s modelState) wrong() string {
	for i, server := range s.servers {
		if s.stamp >= 0 && s.tick-s.stamp > 1 && server.believes() && server.slid > 1 && s.redis[server.redis].now().alive {
			return fmt.Sprintf("server %d greets at %d whose end was stamped at %d", i, s.tick, s.stamp)
		}
	}
	return ""
}

// move is one thing that can happen.
type move struct {
	name string
	to   modelState
}

// moves are all that can happen next. Unless everyBeat, a beat alone comes only
// where it can find something.
func (p modelled) moves(s modelState, everyBeat bool) []move {
	var all []move
	add := func(to modelState, format string, args ...any) {
		if to != s {
			all = append(all, move{fmt.Sprintf(format, args...), to})
		}
	}
	for i := range s.servers {
		add(p.act(s, i), "server %d makes its next step", i)
		if server := s.servers[i]; !server.checking && (everyBeat || !server.fresh || server.slid < 2) {
			to := s
			p.step(&to, i, false, false, to.servers[i].doing)
			add(to, "server %d beats", i)
		}
		if s.stamp < 0 && s.ender < 0 && !s.servers[i].checking && !s.redis[s.servers[i].redis].refuses {
			to := s
			r := &to.redis[to.servers[i].redis]
			d := r.now()
			d.alive = false
			r.write(d)
			to.ender = int8(i)
			add(to, "server %d logs out: removes", i)
		}
	}
	if s.ender >= 0 {
		to := s
		to.ender, to.stamp = -1, s.tick
		add(to, "the end is stamped at %d", s.tick)
	}
	if s.faults > 0 {
		faulty := s
		faulty.faults--
		for i := range s.servers {
			for r := range s.redis {
				to := faulty
				to.servers[i] = p.connect(to.servers[i], int8(r))
				add(to, "server %d gets a new connection to Redis %d", i, r)
			}
		}
		for r := range s.redis {
			for from := range s.redis {
				for n := int8(1); n <= s.redis[from].n; n++ {
					to := faulty
					refuses := to.redis[r].refuses
					to.redis[r] = s.redis[from]
					to.redis[r].refuses = refuses
					to.redis[r].n = n
					clear(to.redis[r].past[n:])
					if to.redis[r] == s.redis[r] {
						continue
					}
					for i := range to.servers {
						if int(to.servers[i].redis) == r {
							to.servers[i].slid = 0
						}
					}
					add(to, "Redis %d has what Redis %d had, state %d", r, from, n)
				}
			}
			to := faulty
			to.redis[r].refuses = !to.redis[r].refuses
			add(to, "Redis %d takes no writes: %v", r, to.redis[r].refuses)
		}
	}
	if to, ok := p.ticks(s); ok {
		add(to, "tick")
	}
	return all
}

func (p modelled) ticks(s modelState) (modelState, bool) {
	if s.tick == modelTicks {
		return s, false
	}
	s.tick++
	for i := range s.servers {
		server := &s.servers[i]
		if !server.done && !s.redis[server.redis].refuses {
			return s, false
		}
		if !server.done && !p.noLimit {
			server.fresh = false
		}
		server.done = false
		server.slid = min(server.slid+1, 2)
	}
	return s, true
}

func (p modelled) connect(s modelServer, redis int8) modelServer {
	next := modelServer{redis: redis, marks: s.marks, slid: 2, done: s.done, doing: unchecked, checking: true}
	if p.noCheck {
		next.doing, next.checking, next.fresh = idle, false, true
	}
	return next
}

// act makes the next step of a server, if it can.
func (p modelled) act(s modelState, i int) modelState {
	server := &s.servers[i]
	r := &s.redis[server.redis]
	switch server.doing {
	case unchecked:
		server.mark, server.beat, server.doing = r.now().marks[i], r.now().beat, beatRead
	case idle, beatRead:
		if server.doing == idle && server.done || r.refuses {
			return s
		}
		if p.noCheck && server.mark == 0 {
			server.mark, server.beat = r.now().marks[i], r.now().beat
		}
		server.clock = s.tick
		server.found = s.stamp >= server.beat
		if p.neverAgain && !server.checking {
			server.found = false
		}
		server.doing = endsRead
	case endsRead:
		p.step(&s, i, server.found && !p.beatFirst, p.beatFirst, removed)
	case removed:
		p.step(&s, i, server.found && p.beatFirst, !p.beatFirst, idle)
	}
	return s
}

// step is heartbeat's step: it removes the session, or writes the beat.
func (p modelled) step(s *modelState, i int, remove, beat bool, then int8) {
	server := &s.servers[i]
	r := &s.redis[server.redis]
	if r.refuses {
		return
	}
	d := r.now()
	same := d.marks[i] == server.mark && d.beat >= server.beat
	switch {
	case p.blind:
		same = true
	case p.beatsOnly:
		same = d.beat >= server.beat
	}
	if !same || !server.checking && !server.fresh && !p.keptOnHeal && !p.noLimit {
		if !p.halfApplied {
			*server = p.connect(*server, server.redis)
			return
		}
		server.mark, server.beat, d = d.marks[i], d.beat, r.now()
	}
	if remove {
		d.alive = false
	}
	if beat {
		d.beat = max(d.beat, server.clock)
	}
	if remove || beat || then == server.doing {
		server.marks++
		d.marks[i], server.mark = server.marks, server.marks
		r.write(d)
	}
	server.beat = d.beat
	before := server.doing
	if server.doing = then; then == idle && before == removed {
		server.checking, server.done = false, server.done || server.clock == s.tick
		server.found, server.clock = false, 0
	}
	if !server.checking {
		server.fresh = true
	}
}

// explore goes through every order of moves and returns one that leads to what
// is wrong, or "", and the number of states.
func (p modelled) explore(faults int8, everyBeat bool) (way string, states int) {
	all, from, seen := modelStarts(), []int32{-1, -1, -1}, map[modelState]struct{}{}
	for i := range all {
		all[i].faults = faults
		seen[all[i]] = struct{}{}
	}
	for at := 0; at < len(all); at++ {
		for _, m := range p.moves(all[at], everyBeat) {
			if wrong := m.to.wrong(); wrong != "" {
				steps := []string{m.name, wrong}
				for to := at; from[to] >= 0; to = int(from[to]) {
					for _, m := range p.moves(all[from[to]], everyBeat) {
						if m.to.plain() == all[to] {
							steps = append([]string{m.name}, steps...)
							break
						}
					}
				}
				return strings.Join(steps, "\n"), len(all)
			}
			to := m.to.plain()
			if _, ok := seen[to]; ok || to.over() {
				continue
			}
			seen[to] = struct{}{}
			all, from = append(all, to), append(from, int32(at))
		}
	}
	return "", len(all)
}

// over reports whether nothing that is wrong can follow any more.
func (s modelState) over() bool {
	if s.stamp < 0 {
		return s.tick > modelTicks-2
	}
	for _, r := range s.redis {
		for _, d := range r.past[:r.n] {
			if d.alive {
				return s.stamp > modelTicks-2
			}
		}
	}
	return true
}

// plain numbers the marks of each server anew: only which are equal matters.
func (s modelState) plain() modelState {
	for i := range s.servers {
		var used [64]bool
		eachMark(&s, i, func(mark *int8) { used[*mark] = true })
		var number [64]int8
		next := int8(0)
		for mark, is := range used {
			if is && mark > 0 {
				next++
				number[mark] = next
			}
		}
		eachMark(&s, i, func(mark *int8) { *mark = number[*mark] })
		s.servers[i].marks = next
	}
	return s
}

func eachMark(s *modelState, server int, act func(*int8)) {
	act(&s.servers[server].mark)
	for r := range s.redis {
		c := &s.redis[r]
		for n := range c.past[:c.n] {
			act(&c.past[n].marks[server])
		}
	}
}

// TestNoOrderOfFaultsBringsAnEndedSessionBack goes through every order of
// log-out, beat, loss, replication, fail-over, fail-back and refused writes, with
// two servers, two copies and one fault after the start; with
// HOLDFAST_CAMPAIGN=1 two faults, and one with all beats (millions of states).
func TestNoOrderOfFaultsBringsAnEndedSessionBack(t *testing.T) {
	explore := func(faults int8, everyBeat bool) {
		way, states := modelled{}.explore(faults, everyBeat)
		if way != "" {
			t.Errorf("after %d states:\n%s", states, way)
		}
		t.Logf("%d states", states)
	}
	explore(1, false)
	if os.Getenv(campaign) == "1" {
		explore(1, true)
		explore(2, false)
	}
}

// campaign names the variable that has tests run that take minutes.
const campaign = "HOLDFAST_CAMPAIGN"

// TestTheModelNoticesEveryFaultInTheProtocol: what it does not notice it does
// not show.
func TestTheModelNoticesEveryFaultInTheProtocol(t *testing.T) {
	for name, p := range map[string]modelled{
		"the beat is written before the endings are applied":  {beatFirst: true},
		"a new connection is not checked":                     {noCheck: true},
		"steps are made whatever stands there":                {blind: true},
		"a higher beat is adopted":                            {beatsOnly: true},
		"endings are applied on new connections only":         {neverAgain: true},
		"a Redis that takes no writes is believed for ever":   {noLimit: true},
		"a Redis that takes writes again is believed at once": {keptOnHeal: true},
		"the rest is applied to older data":                   {halfApplied: true},
	} {
		t.Run(name, func(t *testing.T) {
			way, states := p.explore(1, false)
			if way == "" {
				t.Fatalf("not noticed in %d states", states)
			}
			t.Logf("noticed after %d states:\n%s", states, way)
		})
	}
}
