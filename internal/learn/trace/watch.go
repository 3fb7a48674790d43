package trace

import (
	"context"
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"time"

	"holdfast/internal/database"
	"holdfast/internal/session"
	"holdfast/internal/session/store"
)

// Watch returns a context that carries r and the callbacks with which other packages
// report to it. all may be nil.
func (r *Recorder) Watch(ctx context.Context, all *Connections) context.Context {
	ctx = store.WithTrace(ctx, &store.Trace{
		Ran: func(op store.Operation) {
			all.adopt(r, op.Began)
			r.Timed(2, op.Began, r.operation(op))
		},
	})
	ctx = database.WithTrace(ctx, &database.Trace{
		Ran: func(s database.Statement) {
			r.Timed(1, s.Began, Statement{Text: strings.Join(strings.Fields(s.Text), " "), Cause: Cause(s.Err)})
		},
	})
	ctx = session.WithTrace(ctx, &session.Trace{GotToken: r.gotToken, Found: r.found, Loaded: r.loaded, Committed: r.committed})
	return With(ctx, r)
}

// gotToken adds what the server does with a token before the lookup.
func (r *Recorder) gotToken(token string) {
	good := session.WellFormed(token)
	if r.closely {
		_, err := base64.RawURLEncoding.DecodeString(token)
		r.AddOf(session.WellFormed, Form{Length: len(token), Alphabet: err == nil, Good: good})
	}
	if good {
		r.AddOf(session.Key, Hash{Key: session.Key(token)})
	}
}

// found adds the record that was read, and the check of its limits.
func (r *Recorder) found(record session.Record, limits session.Limits, now time.Time) {
	if r.closely {
		r.AddOf(session.DecodeRecord, Decoded{record})
		r.AddOf(session.Limits.Live, Check{record, limits, now})
	}
}

// loaded adds who sent the request.
func (r *Recorder) loaded(s *session.Session, why session.Reason) {
	member, _ := s.Member()
	who := Recognised{Name: member.Name, Reason: why}
	if s.Stored() {
		who.Key = s.Key()
	}
	r.AddOf((*session.Manager).Load, who)
}

// committed adds what was stored.
func (r *Recorder) committed(o session.Outcome) {
	c := Commit{Act: o.Act, Key: o.Key, Every: o.TouchEvery, Seen: o.LastSeenAt, Cause: Cause(o.TouchErr)}
	if before, after := o.Before.Member, o.After.Member; before != nil && after != nil && before.ID != after.ID {
		o.Before = session.Record{} // another person's session: its values are not shown to this one
	}
	switch o.Act {
	case session.Ended:
		c.Before, c.Changes = o.OldKey, []string{"logged out"}
	case session.LoggedIn:
		c.Before, c.Changes = o.OldKey, append([]string{"logged in, with a new token"}, changes(o.Before, o.After)...)
	case session.Stored:
		c.Changes = changes(o.Before, o.After)
		if o.OldKey == "" {
			c.Changes = append([]string{"started the session"}, c.Changes...)
		}
	case session.Touched:
		c.Changes = []string{"recorded this visit"}
	}
	r.AddOf((*session.Manager).Commit, c)
}

// changes describes, without any value, what changed from base to mine.
func changes(base, mine session.Record) []string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(mine.Values)) {
		if before, had := base.Values[key]; !had || before != mine.Values[key] {
			all = append(all, "set "+Hide(key))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(base.Values)) {
		if _, kept := mine.Values[key]; !kept {
			all = append(all, "removed "+Hide(key))
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
