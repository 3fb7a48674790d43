package store

import (
	"fmt"
	"strings"
	"testing"

	"holdfast/internal/dev/campaign"
)

// This file models heartbeat: two copies of Redis, two servers, one session and its
// revocation, and every order of events. One session is enough, because no step looks
// at two. watermarkMargin is 0 here: the model stamps a revocation and makes it visible
// in one step.
//
// The database's clock advances with the ticks and may jump back, ahead, or both.
// Promoting a replica of the database that has a different clock is such a jump too,
// because the replica has the row of the table clock.
//
// Time passes in ticks. In each tick, a server whose Redis accepts writes goes once
// through the steps of replayNew, in any order with all other events. A server whose
// last write was a tick ago no longer trusts what it reads.

// modelled is a protocol: heartbeat's, or one with a fault.
type modelled struct {
	beatFirst   bool // the watermark is written before the revocations are applied
	noCheck     bool // a new connection is trusted without a check
	blind       bool // writes are made whatever data is there
	beatsOnly   bool // writes look only at the watermark: a higher one is accepted
	neverAgain  bool // revocations are applied on new connections only
	noLimit     bool // data is trusted however long Redis accepts no write
	keptOnHeal  bool // data is trusted again after the next write that Redis accepts
	halfApplied bool // after older data is found, the remaining writes are made to it

	bareClock  bool // the bare clock stamps revocations and watermarks; watermarks only rise
	bareStamps bool // revocations are stamped by the clock, whatever the floor
	oneEpoch   bool // the floor follows a clock that goes back without a new epoch
	anyBeat    bool // a watermark above the floor is accepted
}

const (
	modelTicks  = 4 // the longest path from a fault to where it must no longer show
	modelFaults = 2
	modelPast   = 4 // states that a copy can fall back to, including the first
	modelAlone  = 5 // the same for a single Redis
)

// modelData is the data in a Redis.
type modelData struct {
	alive bool
	beat  int8 // the watermark; 0: none
	epoch int8
	marks [2]int8 // fencing token of each server
}

// modelCopy is a Redis with the states it has been in, the current one last.
type modelCopy struct {
	past    [modelAlone]modelData
	n, most int8
	refuses bool // accepts no writes
}

func (c *modelCopy) now() modelData { return c.past[c.n-1] }

func (c *modelCopy) write(d modelData) {
	switch {
	case d == c.now():
		return
	case c.n == c.most:
		copy(c.past[1:], c.past[2:]) // the first one stays, like last week's backup
		c.past[c.n-1] = d
	default:
		c.past[c.n] = d
		c.n++
	}
}

// How far a server has checked its connection or applied revocations.
const (
	idle      int8 = iota
	beatRead       // in a check: it knows what is there
	endsRead       // it knows the clock and the revocations since the watermark
	removed        // the session is removed, if it was revoked
	unchecked      // the connection is new
)

type modelServer struct {
	redis    int8
	doing    int8
	checking bool // on a connection that is not trusted yet
	mark     int8 // fencing token of its last write, as far as it knows
	marks    int8 // how many fencing tokens it has used
	beat     int8 // the watermark in the data at its last write
	epoch    int8 // the epoch there
	clock    int8 // the floor, read before the revocations
	clocked  int8 // the epoch, likewise
	read     int8 // when it read them
	found    bool // the session is among the revoked ones
	fresh    bool // Redis accepted a write less than a tick ago
	done     bool // it has applied the revocations of this tick
	slid     int8 // ticks since the data under its connection was replaced, at most 2
}

func (s modelServer) believes() bool { return !s.checking && s.fresh }

// modelState is the state of the whole model.
type modelState struct {
	redis   [2]modelCopy
	servers [2]modelServer
	tick    int8
	ender   int8 // server between removing the session and stamping the revocation; -1: none
	ended   int8 // the tick in which the revocation was stamped; -1: none
	stamp   int8 // by the database's clock
	faults  int8 // that may still occur

	ahead int8 // how far the database's clock is ahead of the ticks
	floor int8 // below which the database stamps no revocation in this epoch
	epoch int8
	leaps int8 // jumps of the database's clock that may still occur
	alone bool // one server and one Redis, instead of two
}

// n returns the number of servers, which is also that of Redis copies.
func (s modelState) n() int {
	if s.alone {
		return 1
	}
	return len(s.servers)
}

func (s modelState) clock() int8 { return s.tick + s.ahead }

const (
	modelLeap      = 3   // how far the database's clock jumps
	modelTolerance = 1   // how far it may be behind the floor before a new epoch begins
	modelFar       = 100 // a watermark from a future that is never reached
)

// modelStarts returns the initial states: both servers use one Redis; each uses a
// different one after a failover that one of them has not noticed; and the same with
// the old master cut off.
func modelStarts() []modelState {
	together := modelState{ender: -1, ended: -1, tick: 1, ahead: modelLeap}
	for i := range together.redis {
		together.redis[i].n, together.redis[i].most = 1, modelPast
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

// wrong describes what no state may show, or returns "": a server that greets a person
// whose revocation was stamped more than a tick ago, unless the data under its
// connection was replaced within a tick.
func (s modelState) wrong() string {
	for i, server := range s.servers {
		if s.ended >= 0 && s.tick-s.ended > 1 && server.believes() && server.slid > 1 && s.redis[server.redis].now().alive {
			return fmt.Sprintf("server %d greets at %d whose end was stamped at %d", i, s.tick, s.ended)
		}
	}
	return ""
}

// move is one possible event.
type move struct {
	name string
	to   modelState
}

// moves returns all events that can happen next. Unless everyBeat is set, a heartbeat
// alone comes only where it can find something.
func (p modelled) moves(s modelState, everyBeat bool) []move {
	var all []move
	add := func(to modelState, format string, args ...any) {
		if to != s {
			all = append(all, move{fmt.Sprintf(format, args...), to})
		}
	}
	for i := range s.n() {
		add(p.act(s, i), "server %d makes its next step", i)
		if server := s.servers[i]; !server.checking && (everyBeat || !server.fresh || server.slid < 2 || s.redis[server.redis].now().beat == modelFar) {
			to := s
			p.step(&to, i, false, false, to.servers[i].doing)
			add(to, "server %d beats", i)
		}
		if s.ended < 0 && s.ender < 0 && !s.servers[i].checking && !s.redis[s.servers[i].redis].refuses {
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
		to.ender, to.ended, to.stamp = -1, s.tick, s.clock()
		if !p.bareClock && !p.bareStamps {
			to.stamp = max(to.stamp, s.floor)
		}
		add(to, "the end is stamped at %d, as %d", s.tick, to.stamp)
	}
	if s.leaps > 0 {
		for _, by := range []int8{-modelLeap, modelLeap} {
			to := s
			to.leaps--
			to.ahead += by
			add(to, "the database's clock steps by %d", by)
		}
	}
	if s.faults > 0 {
		faulty := s
		faulty.faults--
		for i := range s.n() {
			for r := range s.n() {
				to := faulty
				to.servers[i] = p.connect(to.servers[i], int8(r))
				add(to, "server %d gets a new connection to Redis %d", i, r)
			}
		}
		for r := range s.n() {
			for from := range s.n() {
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
			forged := to.redis[r].now()
			forged.beat = modelFar
			to.redis[r].write(forged)
			add(to, "the beat in Redis %d is set ahead", r)
			to = faulty
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
	for i := range s.n() {
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

// act takes the next step of a server, if it can.
func (p modelled) act(s modelState, i int) modelState {
	server := &s.servers[i]
	r := &s.redis[server.redis]
	switch server.doing {
	case unchecked:
		if r.refuses {
			return s
		}
		d := r.now()
		server.find(d, i)
		server.leaveMark(&d, i)
		r.write(d)
		server.doing = beatRead
	case idle, beatRead:
		if server.doing == idle && server.done || r.refuses {
			return s
		}
		if p.noCheck && server.mark == 0 {
			server.find(r.now(), i)
		}
		p.readClock(&s, server)
		server.found = s.ended >= 0 && s.stamp >= p.since(s, *server)
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

// readClock is the database's step: it keeps the floor at the clock, and gives it to
// the server.
func (p modelled) readClock(s *modelState, server *modelServer) {
	switch now := s.clock(); {
	case p.bareClock:
		s.floor = max(server.beat, now)
	case now < s.floor-modelTolerance:
		s.floor = now
		if !p.oneEpoch {
			s.epoch++
		}
	default:
		s.floor = max(s.floor, now)
	}
	server.clock, server.clocked, server.read = s.floor, s.epoch, s.tick
	if p.bareClock {
		s.floor = 0
	}
}

// since returns the time from which a server that has read the clock applies
// revocations; 0 means all.
func (p modelled) since(s modelState, server modelServer) int8 {
	switch {
	case p.bareClock:
		return min(server.beat, s.clock())
	case server.epoch != server.clocked, server.beat > server.clock && !p.anyBeat:
		return 0
	}
	return server.beat
}

// leaveMark leaves a new fencing token in the data.
func (s *modelServer) leaveMark(d *modelData, i int) {
	s.marks++
	d.marks[i], s.mark = s.marks, s.marks
}

// find reads the data on a new connection.
func (s *modelServer) find(d modelData, i int) { s.mark, s.beat, s.epoch = d.marks[i], d.beat, d.epoch }

// step is one heartbeat write: it removes the session, or writes the watermark.
func (p modelled) step(s *modelState, i int, remove, beat bool, then int8) {
	server := &s.servers[i]
	r := &s.redis[server.redis]
	if r.refuses {
		return
	}
	d := r.now()
	same := d.marks[i] == server.mark
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
		server.find(d, i)
	}
	if remove {
		d.alive = false
	}
	if beat {
		if p.bareClock {
			server.clock = max(d.beat, server.clock)
		}
		d.beat, d.epoch = server.clock, server.clocked
	}
	if remove || beat || then == server.doing {
		server.leaveMark(&d, i)
		r.write(d)
	}
	server.beat, server.epoch = d.beat, d.epoch
	before := server.doing
	if server.doing = then; then == idle && before == removed {
		server.checking, server.done = false, server.done || server.read == s.tick
		server.found, server.clock, server.clocked, server.read = false, 0, 0, 0
	}
	if !server.checking {
		server.fresh = true
	}
}

// modelBounds limits what happens.
type modelBounds struct {
	faults    int8
	leaps     int8 // jumps of the database's clock
	alone     bool // one server and one Redis, instead of two
	everyBeat bool
}

// explore tries every order of moves. It returns one that leads to a wrong state, or
// "", and the number of states.
func (p modelled) explore(b modelBounds) (way string, states int) {
	all, seen := modelStarts(), map[modelState]struct{}{}
	if b.alone {
		all = all[:1] // both servers use one Redis
		for i := range all[0].redis {
			all[0].redis[i].most = modelAlone
		}
	}
	from := make([]int32, len(all))
	for i := range all {
		all[i].faults, all[i].leaps, all[i].alone = b.faults, b.leaps, b.alone
		seen[all[i]], from[i] = struct{}{}, -1
	}
	for at := 0; at < len(all); at++ {
		for _, m := range p.moves(all[at], b.everyBeat) {
			if wrong := m.to.wrong(); wrong != "" {
				steps := []string{m.name, wrong}
				for to := at; from[to] >= 0; to = int(from[to]) {
					for _, m := range p.moves(all[from[to]], b.everyBeat) {
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

// over reports whether no wrong state can follow.
func (s modelState) over() bool {
	if s.ended < 0 {
		return s.tick > modelTicks-2
	}
	for _, r := range s.redis {
		for _, d := range r.past[:r.n] {
			if d.alive {
				return s.ended > modelTicks-2
			}
		}
	}
	return true
}

// plain makes states equal that differ only in irrelevant details: it renumbers the
// fencing tokens of each server, and drops a floor that the clock has passed for good.
func (s modelState) plain() modelState {
	if s.leaps == 0 && s.clock() >= s.floor {
		s.floor = 0
	}
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

// TestNoOrderOfFaultsBringsAnEndedSessionBack tries every order of logout, heartbeat,
// data loss, replication, failover, failback, refused writes, a forged watermark, and
// jumps of the database's clock: with two servers, two copies and one fault after the
// start, and with one server, one copy, one fault and two clock jumps. The campaign has
// more of each (millions of states).
func TestNoOrderOfFaultsBringsAnEndedSessionBack(t *testing.T) {
	all := []modelBounds{{faults: 1}, {faults: 1, leaps: 2, alone: true}}
	if campaign.On() {
		all = append(all, modelBounds{faults: 1, everyBeat: true}, modelBounds{faults: 2}, modelBounds{faults: 1, leaps: 1},
			modelBounds{faults: 2, leaps: 2, alone: true, everyBeat: true})
	}
	for _, bounds := range all {
		way, states := modelled{}.explore(bounds)
		if way != "" {
			t.Errorf("%+v: after %d states:\n%s", bounds, states, way)
		}
		t.Logf("%+v: %d states", bounds, states)
	}
}

// TestTheModelNoticesEveryFaultInTheProtocol checks the model itself: it must find the
// fault in every broken protocol.
func TestTheModelNoticesEveryFaultInTheProtocol(t *testing.T) {
	two, leaping := modelBounds{faults: 1}, modelBounds{faults: 1, leaps: 2, alone: true}
	for name, broken := range map[string]struct {
		p      modelled
		bounds modelBounds
	}{
		"the beat is written before the endings are applied":  {modelled{beatFirst: true}, two},
		"a new connection is not checked":                     {modelled{noCheck: true}, two},
		"steps are made whatever is there":                    {modelled{blind: true}, two},
		"a higher beat is adopted":                            {modelled{beatsOnly: true}, two},
		"endings are applied on new connections only":         {modelled{neverAgain: true}, two},
		"a Redis that takes no writes is believed for ever":   {modelled{noLimit: true}, two},
		"a Redis that takes writes again is believed at once": {modelled{keptOnHeal: true}, two},
		"the rest is applied to older data":                   {modelled{halfApplied: true}, two},
		"a beat from the future is taken for one":             {modelled{anyBeat: true}, two},
		"the database's clock alone counts":                   {modelled{bareClock: true}, leaping},
		"endings are stamped below the floor":                 {modelled{bareStamps: true}, leaping},
		"a clock that went back begins no epoch":              {modelled{oneEpoch: true}, leaping},
	} {
		t.Run(name, func(t *testing.T) {
			way, states := broken.p.explore(broken.bounds)
			if way == "" {
				t.Fatalf("not noticed in %d states", states)
			}
			t.Logf("noticed after %d states:\n%s", states, way)
		})
	}
}
