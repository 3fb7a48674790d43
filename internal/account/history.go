package account

import (
	"context"
	"holdfast/internal/text"
)

// History keeps events and emails that go with no other change.
type History interface {
	// Audit writes events and emails. Events of people who are not there are left out.
	Audit(ctx context.Context, a Audit) error
	// AuditByEmail writes an event for the person with the key, if there is one.
	AuditByEmail(ctx context.Context, key string, e Event) error
	// History returns events of a person, latest first.
	History(ctx context.Context, person string, offset, limit int) ([]Event, error)
}

// Audit writes down what a person did. Errors: [ErrUnavailable].
func (s *Service) Audit(ctx context.Context, person string, kind EventKind, from text.Sender) error {
	return s.Store.Audit(ctx, Audit{Events: []Event{s.event(person, kind, from)}})
}

// TryAudit is Audit for what has happened whether or not it can be recorded: a
// failure is logged.
func (s *Service) TryAudit(ctx context.Context, person string, kind EventKind, from text.Sender) {
	if err := s.Audit(ctx, person, kind, from); err != nil {
		s.Log.WarnContext(ctx, "account event not written to the history", "event", kind, "cause", err)
	}
}

// AuditFailedLogin records a failed login with an address, for its owner to read,
// if it has one. Errors: [ErrUnavailable].
func (s *Service) AuditFailedLogin(ctx context.Context, email string, from text.Sender) error {
	key, _ := EmailKey(email) // "" is no one's: the statement is the same
	return s.Store.AuditByEmail(ctx, key, s.event("", EventLogInFailed, from))
}

// maxHistory is the most events that History returns at once.
const maxHistory = 1000

// History returns what happened to an account, latest first. Errors:
// [ErrUnavailable].
func (s *Service) History(ctx context.Context, person string, offset, limit int) ([]Event, error) {
	return s.Store.History(ctx, person, max(offset, 0), min(max(limit, 1), maxHistory))
}
