// Package account owns accounts: registration, authentication, changes, the limits on
// names and addresses, the named errors, and the store interface it needs. It must not
// know about HTTP, sessions or any database.
package account

import (
	"cmp"
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

// Registration is what a person enters to create an account.
type Registration struct{ Name, Email, Password string }

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

// Register creates an account. It returns [form.Errors] with every problem that the
// person can correct (fields "name", "email", "password"), [ErrEmailTaken],
// [ErrUnavailable] or [ErrBusy]. If one address is registered several times at the same
// time, exactly one registration succeeds.
func (s *Service) Register(ctx context.Context, r Registration) (Person, error) {
	record, err := s.record(r)
	if err != nil {
		return Person{}, err
	}
	if record.PasswordHash, err = s.Hasher.Hash(ctx, r.Password); err != nil {
		return Person{}, err
	}
	return record.Person, s.Store.Insert(ctx, record)
}

// record builds a person without a password from a submitted form, or returns
// [form.Errors].
func (s *Service) record(r Registration) (Record, error) {
	var problems form.Errors
	name, problem := cleanName(r.Name)
	if problem != "" {
		problems.Add("name", problem)
	}
	address, problem := ParseAddress(r.Email)
	if problem != "" {
		problems.Add("email", problem)
	}
	weak, err := s.weakness("password", r.Password, name, address.Email)
	if err != nil {
		return Record{}, err
	}
	problems = append(problems, weak...)
	person := Person{ID: text.NewID(), Name: name, Email: address.Email, Created: s.instant()}
	return Record{Person: person, EmailKey: address.Key}, problems.Err()
}

// Authenticate returns the person with this email address and password. For an unknown
// address, a wrong password and a disabled person it does the same work and returns
// [ErrInvalidCredentials] (OWASP ASVS 5.0.0, 6.3.8). It returns [ErrUnavailable] or
// [ErrBusy] if it could not check them. It replaces a hash that was made at a lower
// cost.
func (s *Service) Authenticate(ctx context.Context, email, pass string) (Person, error) {
	if !password.Hashable(pass) {
		// No lookup and no hash: the answer reveals nothing about any account.
		return Person{}, ErrInvalidCredentials
	}
	ctx = hashFor(ctx, email) // whether or not the address has an account
	record, err := s.findByEmail(ctx, email)
	if errors.Is(err, ErrNotFound) {
		return Person{}, cmp.Or(s.Hasher.VerifyNobody(ctx, pass), ErrInvalidCredentials)
	}
	if err != nil {
		return Person{}, err
	}
	outdated, err := s.verify(ctx, record, pass)
	if err != nil {
		return Person{}, err
	}
	if outdated {
		s.rehash(ctx, record, pass)
	}
	return record.Person, nil
}

// hashFor returns a context for hashing passwords of the account with an address.
func hashFor(ctx context.Context, email string) context.Context {
	return password.For(ctx, byEmail(PasswordRule(), email).Subject)
}

// verify returns ErrInvalidCredentials for a wrong password and a disabled person.
func (s *Service) verify(ctx context.Context, r Record, pass string) (outdated bool, err error) {
	ok, outdated, err := s.Hasher.Verify(ctx, r.PasswordHash, pass)
	if err != nil {
		return false, fmt.Errorf("verify password of person %s: %w", r.ID, err)
	}
	switch {
	case ok && !r.DeleteAfter.IsZero():
		return false, ErrToBeDeleted
	case !ok || r.Disabled:
		return false, ErrInvalidCredentials
	}
	return outdated, nil
}

// rehash raises the cost of a stored hash. It ignores failures: the login does not
// depend on it, and the next login tries again.
func (s *Service) rehash(ctx context.Context, r Record, pass string) {
	hash, err := s.Hasher.Hash(ctx, pass)
	if err != nil {
		return
	}
	// This replaces only the old hash: a concurrent password change wins.
	_ = s.Store.ReplacePasswordHash(ctx, r.ID, r.PasswordHash, hash)
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

// List returns people in the order of their addresses: at most limit (1 to 1,000). after
// is "" for the first page, and for each further page what List returned as next. It
// returns [ErrUnavailable].
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
