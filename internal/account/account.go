// Package account owns who a person is: registering, authenticating and
// changing people, the limits on what they may be called, the failures that
// have a name, and the store it needs for them. It must not know of HTTP, of
// sessions, nor of any database.
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

// The failures that callers tell apart, with errors.Is.
var (
	// ErrEmailTaken says that another person has this address, in whatever
	// letter case, or has left it and can still take it back.
	ErrEmailTaken = errors.New("email address is already registered")
	// ErrInvalidCredentials says that email and password do not match, and no
	// more: unknown, wrong and disabled are one answer.
	ErrInvalidCredentials = errors.New("email address and password do not match")
	// ErrToBeDeleted says that email and password match, but the account waits to be
	// deleted. It wraps ErrInvalidCredentials.
	ErrToBeDeleted = fmt.Errorf("%w: account is to be deleted", ErrInvalidCredentials)
	// ErrUndoPossible says that an account can still be given back its former address,
	// whose owner decides.
	ErrUndoPossible = errors.New("a change of email address can still be undone")
	// ErrNotFound says that there is no such person.
	ErrNotFound = fault.ErrNotFound
	// ErrUnavailable says that the store could not be reached, or not in time.
	ErrUnavailable = fault.ErrUnavailable
	// ErrBusy says that too many passwords are being hashed at once.
	ErrBusy = password.ErrBusy
)

// Person is someone with an account.
type Person struct {
	// ID is 128 random bits as 22 base64url characters. It never changes.
	ID string
	// Name is what the person is called on every page.
	Name string
	// Email is the address as the person typed it.
	Email string
	// Created is when the person registered, in UTC, to the millisecond.
	Created time.Time
	// Disabled says that the person may not log in.
	Disabled bool
	// DeleteAfter is when the account will be deleted; zero unless that was asked for.
	// Until then it is disabled.
	DeleteAfter time.Time
	// Verified says that the person has shown that they read email at this address.
	Verified bool
	// Epoch is how often the password was set after the first time.
	Epoch int64
}

// Registration is what a person fills in to get an account.
type Registration struct{ Name, Email, Password string }

// Record is a person as the store keeps one.
type Record struct {
	Person
	// EmailKey is the form of the address that no two people share.
	EmailKey     string
	PasswordHash string
}

// Store is all that a [Service] needs of a database. Each method is one atomic
// step that gives up in bounded time. Any method may return [ErrUnavailable]; those
// that look for one person return [ErrNotFound]. An [Audit] is written in the same
// transaction as the change it is about, or not at all.
type Store interface {
	People
	Logins
	History
	Links
	Changes
}

// People finds and adds people, and changes what needs no proof.
type People interface {
	// Insert adds a person, or returns ErrEmailTaken when the key is in use, or kept
	// for an account that can still take it back.
	Insert(ctx context.Context, r Record) error
	// SignUp adds a person where Insert would. With always, the audit is written in
	// any case, and taken is whether the caller has found the key in use: if that has
	// changed, nothing is done, and the error is ErrNotFound.
	SignUp(ctx context.Context, r Record, a Audit, always, taken bool) (added bool, err error)
	ByID(ctx context.Context, id string) (Record, error)
	ByEmailKey(ctx context.Context, key string) (Record, error)
	// ByFormerEmailKey returns the person for whose account a key is kept, and the
	// address as they wrote it.
	ByFormerEmailKey(ctx context.Context, key string, now time.Time) (r Record, address string, err error)
	// PageByEmailKey returns at most limit people with a key above after, in
	// the byte order of the keys.
	PageByEmailKey(ctx context.Context, after string, limit int) ([]Record, error)
	UpdateName(ctx context.Context, id, name string) (Record, error)
	// UpdateDisabled disables a person at a time, or enables one with the zero
	// time, who is then not to be deleted either. Disabling twice keeps the first time.
	UpdateDisabled(ctx context.Context, id string, at time.Time) (Record, error)
}

// Config is what a [Service] needs.
type Config struct {
	Store    Store
	Throttle *throttle.Limiter // slows attempts; nil lets all through
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

// Register makes an account. It returns [form.Errors] with all that the person
// can mend (fields "name", "email", "password"), [ErrEmailTaken],
// [ErrUnavailable] or [ErrBusy]. Of any number of registrations of
// one address at the same time exactly one succeeds.
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

// record builds a person, still without a password, from a filled-in form, or
// returns [form.Errors].
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
	problem, err := s.weakness(r.Password, name, address.Email)
	if err != nil {
		return Record{}, err
	}
	if problem != "" {
		problems.Add("password", problem)
	}
	person := Person{ID: text.NewID(), Name: name, Email: address.Email, Created: s.instant()}
	return Record{Person: person, EmailKey: address.Key}, problems.Err()
}

// Authenticate returns the person whose email and password these are. It
// returns [ErrInvalidCredentials] for an unknown address, a wrong password and a disabled
// person alike, after the same work (OWASP ASVS 5.0.0, 6.3.8), and
// [ErrUnavailable] or [ErrBusy] when neither is known. A hash of a
// lower cost is replaced.
func (s *Service) Authenticate(ctx context.Context, email, pass string) (Person, error) {
	if !password.Hashable(pass) {
		// No lookup and no hash: the answer reveals nothing about any account.
		return Person{}, ErrInvalidCredentials
	}
	ctx = hashFor(ctx, email) // whether or not it has an account
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

// hashFor returns a context for hashes that are made for the account of an address.
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

// weakness is why the policy refuses a password; "" if it does not.
func (s *Service) weakness(pass, name, email string) (problem string, err error) {
	err = s.Policy.Check(pass, name, email)
	if weak, ok := errors.AsType[*password.Weak](err); ok {
		return weak.Reason, nil
	}
	return "", err
}

// rehash raises the cost of a stored hash. The login does not depend on it, and
// the next one tries again, so its failures are left alone.
func (s *Service) rehash(ctx context.Context, r Record, pass string) {
	hash, err := s.Hasher.Hash(ctx, pass)
	if err != nil {
		return
	}
	// Only in the place of the old hash: a password changed meanwhile wins.
	_ = s.Store.ReplacePasswordHash(ctx, r.ID, r.PasswordHash, hash)
}

// Find returns the person with an ID, or [ErrNotFound], or [ErrUnavailable].
func (s *Service) Find(ctx context.Context, id string) (Person, error) {
	if !text.IsID(id) {
		return Person{}, ErrNotFound
	}
	record, err := s.Store.ByID(ctx, id)
	return record.Person, err
}

// FindByEmail returns the person with an address, in whatever letter case, or
// [ErrNotFound], or [ErrUnavailable].
func (s *Service) FindByEmail(ctx context.Context, email string) (Person, error) {
	record, err := s.findByEmail(ctx, email)
	return record.Person, err
}

// findByEmail finds an account first by the key that its address had in earlier
// versions, if it differs: of two accounts that they made with one mailbox, one
// keeps that key.
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

// Rename changes what a person is called. It returns *[throttle.RetryAfterError],
// [form.Errors] (field "name"), [ErrNotFound] or [ErrUnavailable].
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

// SetDisabled forbids a person to log in, or allows it again, which also keeps an
// account that waits to be deleted. It ends no session; that is for the caller. It
// returns [ErrNotFound] or [ErrUnavailable].
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

// Delete removes a person and everything stored about them, for good, as an operator
// does: without an email. Their sessions end in the same step, and are removed from
// the session store when session.Manager.Revoke runs. It returns
// [ErrNotFound] or [ErrUnavailable].
func (s *Service) Delete(ctx context.Context, id string) error {
	if !text.IsID(id) {
		return ErrNotFound
	}
	_, err := s.Store.Close(ctx, id, nil, Audit{})
	return err
}

// maxPage is the most people that List returns at once.
const maxPage = 1000

// List returns people in the order of their addresses: at most limit (1 to
// 1,000), after the address of the last one seen; "" starts at the beginning.
// It returns [ErrUnavailable], and [ErrNotFound] for an after that is not an
// address.
func (s *Service) List(ctx context.Context, after string, limit int) ([]Person, error) {
	key := ""
	if after != "" {
		var ok bool
		if key, ok = EmailKey(after); !ok {
			return nil, ErrNotFound
		}
		last, err := s.findByEmail(ctx, after)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, err
		}
		key = cmp.Or(last.EmailKey, key)
	}
	records, err := s.Store.PageByEmailKey(ctx, key, min(max(limit, 1), maxPage))
	if err != nil {
		return nil, err
	}
	people := make([]Person, len(records))
	for i, r := range records {
		people[i] = r.Person
	}
	return people, nil
}

// instant is the present time as every store can keep it.
func (s *Service) instant() time.Time { return s.Now().UTC().Truncate(time.Millisecond) }
