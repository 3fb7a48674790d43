// Package account owns accounts: registration, authentication, changes, the limits on
// names and addresses, the named errors, and the store interface it needs. It must not
// know about HTTP, sessions or any database.
package account

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"holdfast/internal/fault"
	"holdfast/internal/form"
	"holdfast/internal/password"
	"holdfast/internal/text"
	"holdfast/internal/throttle"
)

// Errors that callers distinguish with errors.Is.
var (
	// ErrEmailTaken means that another account uses this address, in any letter case,
	// or has left it and can still restore it.
	ErrEmailTaken = errors.New("email address is already registered")
	// ErrInvalidCredentials means that the email address and password do not match. An
	// unknown address, a wrong password and a disabled account give the same answer.
	ErrInvalidCredentials = errors.New("email address and password do not match")
	// ErrToBeDeleted means that the email address and password match, but the account
	// is scheduled for deletion. It wraps ErrInvalidCredentials.
	ErrToBeDeleted = fmt.Errorf("%w: account is to be deleted", ErrInvalidCredentials)
	// ErrUndoPossible means that a change of email address can still be undone. The
	// owner of the former address decides.
	ErrUndoPossible = errors.New("a change of email address can still be undone")
	// ErrNotFound means that there is no such person.
	ErrNotFound = fault.ErrNotFound
	// ErrUnavailable means that the store could not be reached, or did not answer in
	// time.
	ErrUnavailable = fault.ErrUnavailable
	// ErrBusy means that too many passwords are being hashed at the same time.
	ErrBusy = password.ErrBusy
)

// Person is someone with an account.
type Person struct {
	// ID is 128 random bits as 22 base64url characters. It never changes.
	ID string
	// Name is the name shown on every page.
	Name string
	// Email is the address as the person typed it.
	Email string
	// Created is when the person registered, in UTC, to the millisecond.
	Created time.Time
	// Disabled means that the person may not log in.
	Disabled bool
	// DeleteAfter is when the account will be deleted, or zero if no deletion is
	// scheduled. Until then the account is disabled.
	DeleteAfter time.Time
	// Verified means that the person has shown that they read email at this address.
	Verified bool
	// Epoch counts how often the password was set after the first time.
	Epoch int64
}

// Record is a person as stored.
type Record struct {
	Person
	// EmailKey is the normalised address. No two people share one.
	EmailKey     string
	PasswordHash string
}

// Config is what a [Service] needs.
type Config struct {
	Store    Store
	Throttle *throttle.Limiter // limits attempts; nil means no limits
	Hasher   *password.Hasher
	Policy   password.Policy
	Now      func() time.Time
	Log      *slog.Logger // nil for none
}

// Service finds and changes people. It is safe for concurrent use.
type Service struct{ Config }

// New returns a service.
func New(cfg Config) *Service {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{cfg}
}

// Find returns the person with an ID, [ErrNotFound] or [ErrUnavailable].
func (s *Service) Find(ctx context.Context, id string) (Person, error) {
	if !text.IsID(id) {
		return Person{}, ErrNotFound
	}
	record, err := s.Store.ByID(ctx, id)
	return record.Person, err
}

// FindByEmail returns the person with an address, in any letter case, [ErrNotFound] or
// [ErrUnavailable].
func (s *Service) FindByEmail(ctx context.Context, email string) (Person, error) {
	record, err := s.findByEmail(ctx, email)
	return record.Person, err
}

// findByEmail first looks for the key that earlier versions gave the address, if it
// differs. If they created two accounts for one mailbox, one of the two still has that
// key.
func (s *Service) findByEmail(ctx context.Context, email string) (Record, error) {
	a, problem := readAddress(email)
	if problem != "" {
		return Record{}, ErrNotFound
	}
	if a.former != a.Key {
		if record, err := s.Store.ByEmailKey(ctx, a.former); !errors.Is(err, ErrNotFound) {
			return record, err
		}
	}
	return s.Store.ByEmailKey(ctx, a.Key)
}

// Rename changes a person's name. It returns *[throttle.RetryAfterError], [form.Errors]
// (field "name"), [ErrNotFound] or [ErrUnavailable].
func (s *Service) Rename(ctx context.Context, id, name string) (Person, error) {
	name, problem := cleanName(name)
	if problem != "" {
		return Person{}, form.Errors{{Field: "name", Message: problem}}
	}
	if !text.IsID(id) {
		return Person{}, ErrNotFound
	}
	if err := s.Throttle.Take(ctx, throttle.Key{Rule: renameRule, Subject: id}); err != nil {
		return Person{}, err
	}
	record, err := s.Store.UpdateName(ctx, id, name)
	return record.Person, err
}

// SetDisabled prevents a person from logging in, or allows it again, which also cancels
// a scheduled deletion. It revokes no sessions; the caller must do that. It returns
// [ErrNotFound] or [ErrUnavailable].
func (s *Service) SetDisabled(ctx context.Context, id string, disabled bool) (Person, error) {
	if !text.IsID(id) {
		return Person{}, ErrNotFound
	}
	var at time.Time
	if disabled {
		at = s.instant()
	}
	record, err := s.Store.UpdateDisabled(ctx, id, at)
	return record.Person, err
}

// Delete permanently removes a person and everything stored about them, without sending
// an email. It is for operators. The person's sessions are revoked in the same
// transaction, and removed from the session store when session.Manager.Revoke runs. It
// returns [ErrNotFound] or [ErrUnavailable].
func (s *Service) Delete(ctx context.Context, id string) error {
	if !text.IsID(id) {
		return ErrNotFound
	}
	_, err := s.Store.Close(ctx, id, nil, Audit{})
	return err
}

// maxPage is the most people that List returns.
const maxPage = 1000

// List returns people in the order of their addresses: at most limit (1 to 1,000). For
// the first page, after is ""; for each further one, it is what List returned as next.
// It returns [ErrUnavailable].
func (s *Service) List(ctx context.Context, after string, limit int) (people []Person, next string, err error) {
	records, err := s.Store.PageByEmailKey(ctx, after, min(max(limit, 1), maxPage))
	for _, r := range records {
		people = append(people, r.Person)
		next = r.EmailKey
	}
	return people, next, err
}

// instant returns the current time at a precision that every store can keep.
func (s *Service) instant() time.Time { return s.Now().UTC().Truncate(time.Millisecond) }
