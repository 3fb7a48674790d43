package web

import (
	"encoding/base64"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"holdfast/internal/learn/trace"
	"holdfast/internal/session"
)

// What the session middleware notes for a request that is watched: see package
// trace. None of it runs for a request that is not.

// noteToken notes the cookie that came, and what the server makes of it before
// it asks the store.
func (s *Site) noteToken(c echo.Context, token string, count int) {
	rec := watched(c)
	if rec == nil {
		return
	}
	seen := trace.Cookie{Name: s.Sessions.CookieName(), Count: count}
	if count == 1 {
		seen.Value = trace.Mask(token)
	}
	rec.Add(seen)
	if token == "" {
		return
	}
	good := session.WellFormed(token)
	if rec.Closely() {
		_, err := base64.RawURLEncoding.DecodeString(token)
		rec.AddOf(session.WellFormed, trace.Form{Length: len(token), Want: session.TokenLength, Alphabet: err == nil, Good: good})
	}
	if good {
		rec.AddOf(session.Key, trace.Hash{Key: session.Key(token)})
	}
}

// noteRecord notes the record that was found, and the check whether it lives.
func (s *Site) noteRecord(c echo.Context, sess *session.Session) {
	rec, found := watched(c), sess.Lookup()
	if rec.Closely() && !found.CheckedAt.IsZero() {
		limits := s.Sessions.Limits()
		rec.AddOf(session.DecodeRecord, trace.Decoded{Version: session.RecordVersion, Fields: fields(found.Record)})
		check := trace.Check{
			Now: found.CheckedAt, Seen: found.Record.LastSeenAt, Idle: limits.Idle,
			IdleEnd: limits.IdleExpiresAt(found.Record), Deadline: found.Record.ExpiresAt,
			Live: limits.Live(found.Record, found.CheckedAt),
		}
		if found.Record.Member != nil && found.Record.Member.Remember {
			check.Idle = 0
		}
		rec.AddOf(session.Limits.Live, check)
	}
}

// noteSender notes who sent the request.
func noteSender(c echo.Context, sess *session.Session) {
	rec, found := watched(c), sess.Lookup()
	if rec == nil {
		return
	}
	who := trace.Recognised{Reason: trace.Reason(found.Reason)}
	if sess.Stored() {
		who.Key = sess.Key()
	}
	if member, ok := sess.Member(); ok {
		who.Member, who.Name = true, member.Name
	}
	rec.AddOf((*session.Manager).Load, who)
}

// noteOutcome notes what was stored.
func noteOutcome(c echo.Context, sess *session.Session) {
	rec := watched(c)
	if rec == nil {
		return
	}
	o := sess.Outcome()
	noted := trace.Commit{
		Act: trace.Act(o.Act), Key: o.Key, Every: o.TouchEvery, Seen: o.LastSeenAt, Cause: trace.Cause(o.TouchErr),
	}
	if before, after := o.Before.Member, o.After.Member; before != nil && after != nil && before.ID != after.ID {
		o.Before = session.Record{} // another person's, and none of this one's business
	}
	switch o.Act {
	case session.Ended:
		noted.Before, noted.Changes = o.OldKey, []string{"logged out"}
	case session.LoggedIn:
		noted.Before, noted.Changes = o.OldKey, append([]string{"logged in, with a new token"}, changes(o.Before, o.After)...)
	case session.Stored:
		noted.Changes = changes(o.Before, o.After)
		if o.OldKey == "" {
			noted.Changes = append([]string{"began"}, noted.Changes...)
		}
	case session.Touched:
		noted.Changes = []string{"noted its last use"}
	}
	rec.AddOf((*session.Manager).Commit, noted)
}

// fields are the values of a record as they are stored, in that order.
func fields(r session.Record) []trace.Field {
	at := func(path string, t time.Time) trace.Field {
		return trace.Field{Path: path, Value: strconv.FormatInt(t.UnixMilli(), 10), Time: t}
	}
	all := []trace.Field{
		{Path: "v", Value: strconv.Itoa(session.RecordVersion)},
		at("created", r.CreatedAt), at("seen", r.LastSeenAt), at("ends", r.ExpiresAt),
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
	for _, flash := range r.Flashes {
		all = append(all, trace.Field{Path: "notices", Value: trace.Hide(flash.Text)})
	}
	return all
}

// changes tells in words, and without any value, what led from base to mine.
func changes(base, mine session.Record) []string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(mine.Values)) {
		if before, had := base.Values[key]; !had || before != mine.Values[key] {
			all = append(all, "set "+trace.Hide(key))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(base.Values)) {
		if _, kept := mine.Values[key]; !kept {
			all = append(all, "removed "+trace.Hide(key))
		}
	}
	for _, flash := range mine.Flashes {
		if !slices.Contains(base.Flashes, flash) {
			all = append(all, "left a notice for the next page")
		}
	}
	for _, flash := range base.Flashes {
		if !slices.Contains(mine.Flashes, flash) {
			all = append(all, "showed a notice")
		}
	}
	return all
}
