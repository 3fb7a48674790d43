package session

import (
	"maps"
	"slices"
	"time"
)

// Record is everything the store keeps of one session. It holds no token and
// nothing a page cannot show to the person it belongs to.
type Record struct {
	Created  time.Time         // when this session began: the log-in, for a member
	Seen     time.Time         // last use that was written down, see [Limits.touchEvery]
	Deadline time.Time         // absolute lifetime: the session ends here whatever happens
	Member   *Member           // nil for a guest
	Values   map[string]string // what the person put in at /session
	Notices  []Notice          // messages waiting for the next page
}

// Member is the person a session belongs to, as far as a greeting needs it.
type Member struct {
	ID     string // account.Person.ID
	Name   string // what the greeting says
	Start  int64  // number of the server start in which the person logged in
	Device string // id of the row that lists this session; no token
	// Remember is set when the person asked to be kept logged in.
	Remember bool
}

// Notice is a message that one later page shows exactly once.
type Notice struct {
	ID   string
	Text string
}

func (r Record) clone() Record {
	r.Values = maps.Clone(r.Values)
	r.Notices = slices.Clone(r.Notices)
	if r.Member != nil {
		member := *r.Member
		r.Member = &member
	}
	return r
}

// empty reports whether nothing in r is worth storing.
func (r Record) empty() bool {
	return r.Member == nil && len(r.Values) == 0 && len(r.Notices) == 0
}

// overlay lays the changes that led from base to mine over theirs, the record
// that another request stored in the meantime. taken tells that a notice this
// request took had already been taken by the other one.
func overlay(base, mine, theirs Record) (merged Record, taken bool) {
	merged = theirs.clone()
	if merged.Values == nil {
		merged.Values = map[string]string{}
	}
	for key, value := range mine.Values {
		if before, stood := base.Values[key]; !stood || before != value {
			merged.Values[key] = value
		}
	}
	for key := range base.Values {
		if _, kept := mine.Values[key]; !kept {
			delete(merged.Values, key)
		}
	}
	for _, notice := range base.Notices {
		if slices.Contains(mine.Notices, notice) {
			continue
		}
		if !slices.Contains(merged.Notices, notice) {
			taken = true
		}
		merged.Notices = slices.DeleteFunc(merged.Notices, func(n Notice) bool { return n == notice })
	}
	for _, notice := range mine.Notices {
		if !slices.Contains(base.Notices, notice) && !slices.Contains(merged.Notices, notice) {
			merged.Notices = append(merged.Notices, notice)
		}
	}
	if mine.Member != nil && base.Member != nil && *mine.Member != *base.Member {
		member := *mine.Member
		merged.Member = &member
	}
	if mine.Seen.After(merged.Seen) {
		merged.Seen = mine.Seen
	}
	return merged, taken
}
