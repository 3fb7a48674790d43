package account

import (
	"context"
	"time"

	"holdfast/internal/text"
)

// History keeps events and emails that go with no other change.
type History interface {
	// Audit writes events and emails. Events of people who are not there are left out.
	Audit(ctx context.Context, a Audit) error
	// AuditByEmail writes an event for the person with the key, if there is one.
	AuditByEmail(ctx context.Context, key string, e Event) error
	// History returns events of a person that came before one, latest first; before the
	// zero Event come all.
	History(ctx context.Context, person string, before Event, offset, limit int) ([]Event, error)
	// Browsers returns the known browsers of a person, the latest used first.
	Browsers(ctx context.Context, person string) ([]Browser, error)
	// PasswordSet returns when the history last says that a person's password was changed
	// or reset; zero if it does not say so.
	PasswordSet(ctx context.Context, person string) (time.Time, error)
	// Addresses returns the addresses that a person can still change to or restore.
	Addresses(ctx context.Context, person string) ([]OtherAddress, error)
}

// Browser is a browser that has logged in to an account, without what it is known by.
type Browser struct{ Known, Used time.Time }

// OtherAddress is an address that an account can get by an emailed link: PurposeChange
// or PurposeUndo.
type OtherAddress struct {
	Purpose Purpose
	Email   string
	Since   time.Time
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

// PasswordSet returns when the person's password was last set; zero if that is longer ago
// than the history goes back. Errors: [ErrUnavailable].
func (s *Service) PasswordSet(ctx context.Context, p Person) (time.Time, error) {
	if p.Epoch == 0 {
		return p.Created, nil
	}
	return s.Store.PasswordSet(ctx, p.ID)
}

// maxHistory is the most events that History returns at once.
const maxHistory = 1000

// History returns what happened to an account before an event, or at all before the
// zero one, latest first. Errors: [ErrUnavailable].
func (s *Service) History(ctx context.Context, person string, before Event, offset, limit int) ([]Event, error) {
	return s.Store.History(ctx, person, before, max(offset, 0), min(max(limit, 1), maxHistory))
}
