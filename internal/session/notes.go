package session

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/internal/learn/trace"
)

// What this package notes for a request that is watched: see package trace.
// None of it runs, or costs anything, for a request that is not.

func (s *Session) noteForm(token string, good bool) {
	if !s.trace.Closely() || token == "" {
		return
	}
	_, err := base64.RawURLEncoding.DecodeString(token)
	s.trace.AddOf(wellFormed, trace.Form{Length: len(token), Want: tokenLength, Alphabet: err == nil, Good: good})
}

func (s *Session) noteRecord(r Record, now time.Time, live bool) {
	if !s.trace.Closely() {
		return
	}
	s.trace.AddOf(decodeRecord, trace.Decoded{Version: recordVersion, Fields: fields(r)})
	check := trace.Check{
		Now: now, Seen: r.Seen, Idle: s.manager.limits.Idle,
		IdleEnd: s.manager.limits.idleEnd(r), Deadline: r.Deadline, Live: live,
	}
	if r.Member != nil && r.Member.Remember {
		check.Idle = 0
	}
	s.trace.AddOf(Limits.live, check)
}

func (s *Session) noteRecognised(key string) {
	if s.trace == nil {
		return
	}
	who := trace.Recognised{Key: key, Reason: trace.GuestToken}
	if member, ok := s.Member(); ok {
		who = trace.Recognised{Key: key, Member: true, Name: member.Name}
	}
	s.trace.AddOf((*Manager).Load, who)
}

func (s *Session) noteNobody(why trace.Reason) {
	s.nobody = why
	if s.trace != nil {
		s.trace.AddOf((*Manager).Load, trace.Recognised{Reason: why})
	}
}

// whyNobody tells why a token leads to no record: sent is what came, and token
// what was left of it to look up.
func whyNobody(sent, token string) trace.Reason {
	switch {
	case sent == "":
		return trace.NoToken
	case token == "":
		return trace.IllFormed
	default:
		return trace.NotFound
	}
}

func (l Limits) whyOver(r Record, now time.Time) trace.Reason {
	if now.Before(r.Deadline) {
		return trace.Idle
	}
	return trace.TooOld
}

// fields are the values of a record as they are stored, in that order.
func fields(r Record) []trace.Field {
	at := func(path string, t time.Time) trace.Field {
		return trace.Field{Path: path, Value: strconv.FormatInt(t.UnixMilli(), 10), Time: t}
	}
	all := []trace.Field{
		{Path: "v", Value: strconv.Itoa(recordVersion)},
		at("created", r.Created), at("seen", r.Seen), at("ends", r.Deadline),
	}
	if member := r.Member; member != nil {
		all = append(all,
			trace.Field{Path: "member.id", Value: member.ID},
			trace.Field{Path: "member.name", Value: member.Name},
			trace.Field{Path: "member.start", Value: strconv.FormatInt(member.Start, 10)},
			trace.Field{Path: "member.device", Value: member.Device},
		)
		if member.Remember {
			all = append(all, trace.Field{Path: "member.remember", Value: "true"})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(r.Values)) {
		all = append(all, trace.Field{Path: "values." + trace.Hide(key), Value: trace.Hide(r.Values[key])})
	}
	for _, notice := range r.Notices {
		all = append(all, trace.Field{Path: "notices", Value: trace.Hide(notice.Text)})
	}
	return all
}

// before is what a commit begins with.
type before struct {
	key  string
	base Record // as found, if something has changed
	mine Record // as the request has left it
}

func (s *Session) noteBefore() before {
	if s.trace == nil {
		return before{}
	}
	b := before{key: visitFrom(s.ctx).key, mine: s.record}
	if found := visitFrom(s.ctx).found; found != nil && (s.changed || s.fresh != notFresh) {
		b.base, _ = decodeRecord(found) // it was decoded when it was found
	}
	if mine, base := b.mine.Member, b.base.Member; mine != nil && base != nil && mine.ID != base.ID {
		b.base = Record{} // another person's, and none of this one's business
	}
	return b
}

// described is what a commit that succeeded has done.
func (s *Session) described(b before) trace.Commit {
	c := trace.Commit{Every: s.manager.limits.touchEvery(), Seen: s.record.Seen, Cause: trace.Cause(s.touchFailed)}
	standing := func() string { return hashToken(s.manager.scs.Token(s.ctx)) }
	switch {
	case s.loggedOut:
		c.Act, c.Before, c.Changes = trace.Ended, b.key, []string{"logged out"}
	case s.fresh == freshLogIn:
		c.Act, c.Before, c.Key = trace.LoggedIn, b.key, standing()
		c.Changes = append([]string{"logged in, with a new token"}, changes(b.base, b.mine)...)
	case s.fresh == freshRenewal:
		c.Act, c.Before, c.Key = trace.Renewed, b.key, standing()
		c.Changes = append([]string{"given a new token"}, changes(b.base, b.mine)...)
	case s.changed && (s.stored || !b.mine.empty()):
		c.Act, c.Key, c.Changes = trace.Stored, standing(), changes(b.base, b.mine)
		if b.key == "" {
			c.Changes = append([]string{"began"}, c.Changes...)
		}
	case !s.stored:
		c.Act = trace.Nobody
	case visitFrom(s.ctx).stored != nil:
		c.Act, c.Key, c.Changes = trace.Touched, b.key, []string{"noted its last use"}
	default:
		c.Act, c.Key = trace.Looked, b.key
	}
	return c
}

// changes tells in words, and without any value, what led from base to mine.
func changes(base, mine Record) []string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(mine.Values)) {
		if stood, ok := base.Values[key]; !ok || stood != mine.Values[key] {
			all = append(all, "set "+trace.Hide(key))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(base.Values)) {
		if _, kept := mine.Values[key]; !kept {
			all = append(all, "removed "+trace.Hide(key))
		}
	}
	for _, notice := range mine.Notices {
		if !slices.Contains(base.Notices, notice) {
			all = append(all, "left a notice for the next page")
		}
	}
	for _, notice := range base.Notices {
		if !slices.Contains(mine.Notices, notice) {
			all = append(all, "showed a notice")
		}
	}
	return all
}

// maxShownArgs is how many arguments of a command are told one by one.
const maxShownArgs = 6

// command describes what was sent to Redis and what came back. Stored bytes are
// told by their number in the command; those a GET has found are kept.
func command(rec *trace.Recorder, server string, reply any, err error, name string, args ...any) trace.Operation {
	words := []string{name}
	for i, arg := range args {
		if i == maxShownArgs {
			words = append(words, fmt.Sprintf("… and %d more", len(args)-i))
			break
		}
		words = append(words, argument(arg))
	}
	text := strings.Join(words, " ")
	if name != "GET" {
		return trace.Operation{Store: server, Text: text, Cause: trace.Cause(err)}
	}
	stored, found := reply.([]byte)
	return read(rec, server, text, stored, found, err)
}

func argument(arg any) string {
	switch arg := arg.(type) {
	case []byte:
		return size(arg)
	case string:
		if strings.Contains(arg, "\n") {
			return "‹script›"
		}
		return arg
	default:
		return fmt.Sprint(arg)
	}
}

func size(stored []byte) string {
	if stored == nil {
		return "‹nothing›"
	}
	return "‹" + strconv.Itoa(len(stored)) + " bytes›"
}

// read describes a look into a store and what was found.
func read(rec *trace.Recorder, store, text string, stored []byte, found bool, err error) trace.Operation {
	op := trace.Operation{Store: store, Text: text, Found: found, Size: len(stored), Cause: trace.Cause(err)}
	if found && rec.Closely() {
		op.Bytes = []byte(trace.Hide(string(bytes.ToValidUTF8(stored, []byte("?")))))
	}
	return op
}

// Pretty lays a stored record out for people. What is no record stays as it is.
func Pretty(stored []byte) string {
	var out bytes.Buffer
	if err := json.Indent(&out, stored, "", "  "); err != nil {
		return string(stored)
	}
	return out.String()
}
