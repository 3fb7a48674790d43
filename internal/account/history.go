package account

import (
	"context"
	"time"

	"holdfast/internal/text"
)

// Browser is a browser that has logged in to an account, without the hash that
// identifies it. The names of its fields in JSON are those of the person's download.
type Browser struct {
	Known time.Time `json:"known_since"`
	Used  time.Time `json:"last_login"`
}

// OtherAddress is an address that an account can get through an emailed link:
// PurposeChange or PurposeUndo. The names of its fields in JSON are those of the
// person's download.
type OtherAddress struct {
	Purpose Purpose   `json:"purpose"`
	Email   string    `json:"email"`
	Since   time.Time `json:"since"`
}

// Audit records what a person did. Errors: [ErrUnavailable].
func (s *Service) Audit(ctx context.Context, person string, kind EventKind, from text.Sender) error {
	return s.Store.Audit(ctx, s.newAudit(person, kind, from))
}

// TryAudit is Audit for events that have happened whether or not they can be recorded.
// It logs a failure.
func (s *Service) TryAudit(ctx context.Context, person string, kind EventKind, from text.Sender) {
	if err := s.Audit(ctx, person, kind, from); err != nil {
		s.Log.WarnContext(ctx, "account event not written to the history", "event", kind, "cause", err)
	}
}

// AuditFailedLogin records a failed login with an address in its owner's history, if it
// has an owner. Errors: [ErrUnavailable].
func (s *Service) AuditFailedLogin(ctx context.Context, email string, from text.Sender) error {
	key, _ := EmailKey(email) // no one has the key "": the statement is the same
	return s.Store.AuditByEmail(ctx, key, s.event("", EventLogInFailed, from))
}

// PasswordSet returns when the person's password was last set, or zero if the history
// does not go back that far. Errors: [ErrUnavailable].
func (s *Service) PasswordSet(ctx context.Context, p Person) (time.Time, error) {
	if p.Epoch == 0 {
		return p.Created, nil
	}
	return s.Store.PasswordSet(ctx, p.ID)
}

// maxHistory is the most events that History returns.
const maxHistory = 1000

// History returns an account's events before an event, latest first. The zero Event
// means all of them. Errors: [ErrUnavailable].
func (s *Service) History(ctx context.Context, person string, before Event, offset, limit int) ([]Event, error) {
	return s.Store.History(ctx, person, before, max(offset, 0), min(max(limit, 1), maxHistory))
}
