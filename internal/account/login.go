package account

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"holdfast/internal/password"
	"holdfast/internal/text"
	"holdfast/internal/throttle"
)

// Current reports whether a person may still log in with the password that was verified
// when p was read.
func (s *Service) Current(ctx context.Context, p Person) (bool, error) {
	now, err := s.Find(ctx, p.ID)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil && now.Epoch == p.Epoch && !now.Disabled, err
}

// Reauthenticate verifies the password of a logged-in person, within the rate limit.
// Errors: *[throttle.RetryAfterError], [ErrInvalidCredentials], [ErrUnavailable],
// [ErrBusy].
func (s *Service) Reauthenticate(ctx context.Context, id, pass string, from text.Sender) (Person, error) {
	record, err := s.reauthenticate(ctx, id, pass, from)
	return record.Person, err
}

func (s *Service) reauthenticate(ctx context.Context, id, pass string, from text.Sender) (Record, error) {
	key := throttle.Key{Rule: reauthRule, Subject: id}
	if err := s.Throttle.Take(ctx, key); err != nil {
		return Record{}, err
	}
	record, err := s.verified(ctx, id, pass)
	switch {
	case err == nil:
		s.clear(ctx, key)
	case errors.Is(err, ErrInvalidCredentials):
		s.TryAudit(ctx, id, EventReauthFailed, from)
	default:
		s.refund(ctx, key)
	}
	return record, err
}

func (s *Service) verified(ctx context.Context, id, pass string) (Record, error) {
	if !password.Hashable(pass) || !text.IsID(id) {
		return Record{}, ErrInvalidCredentials
	}
	record, err := s.Store.ByID(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return Record{}, ErrInvalidCredentials
	}
	if err != nil {
		return Record{}, err
	}
	if _, err := s.verify(hashFor(ctx, record.Email), record, pass); err != nil {
		return Record{}, err
	}
	return record, nil
}

// KnownBrowser returns the hash of the token with which the person at this address has
// logged in before, or "". Errors: [ErrUnavailable].
func (s *Service) KnownBrowser(ctx context.Context, email string, tokens []string) (hash string, err error) {
	var hashes []string
	for _, token := range tokens {
		if text.IsToken(token) {
			hashes = append(hashes, text.Hash(token))
		}
	}
	key, ok := EmailKey(email)
	if !ok || len(hashes) == 0 {
		return "", nil
	}
	return s.Store.KnownBrowser(ctx, key, hashes)
}

// Attempt is an attempt to log in.
type Attempt struct {
	Email, Password string
	Tokens          []string // may identify a known browser
	From            text.Sender
}

// LogIn verifies an email address and a password, within the rate limits, and records
// the login as RecordLogin does. Attempts are counted by account and by sender address.
// Attempts from a known browser are counted by browser, and by account over all its
// known browsers. Errors: *[throttle.RetryAfterError], [ErrInvalidCredentials],
// [ErrUnavailable], [ErrBusy].
func (s *Service) LogIn(ctx context.Context, a Attempt) (p Person, token string, err error) {
	known, err := s.KnownBrowser(ctx, a.Email, a.Tokens)
	if err != nil {
		return Person{}, "", err
	}
	keys := []throttle.Key{byEmail(PasswordRule(), a.Email), bySender(addressRule, a.From)}
	if known != "" {
		keys = []throttle.Key{{Rule: deviceRule, Subject: known}, byEmail(devicesRule, a.Email)}
	}
	if err := s.Throttle.Take(ctx, keys...); err != nil {
		return Person{}, "", err
	}
	p, err = s.Authenticate(ctx, a.Email, a.Password)
	switch {
	case errors.Is(err, ErrInvalidCredentials):
		return Person{}, "", cmp.Or(s.AuditFailedLogin(ctx, a.Email, a.From), err)
	case err != nil:
		s.refund(ctx, keys...) // no password was checked
		return Person{}, "", err
	}
	s.clear(ctx, keys[0])
	s.refund(ctx, keys[1:]...)
	token, err = s.RecordLogin(ctx, p, Login{Known: known, From: a.From})
	return p, token, err
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
		// The login does not depend on this, and the next login tries again.
		if hash, err := s.Hasher.Hash(ctx, pass); err == nil {
			// This replaces only the old hash: a concurrent password change wins.
			_ = s.Store.ReplacePasswordHash(ctx, record.ID, record.PasswordHash, hash)
		}
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

// Login is a login to record.
type Login struct {
	Known    string // hash of the known browser it came from; "" for none
	SignedUp bool   // whether this browser has just created the account
	From     text.Sender
}

// RecordLogin records a login before its session is created: an email about a login
// that then fails is better than none about one that succeeds. A browser that has not
// logged in to the account before becomes known by the returned token, and the person
// is notified, unless they signed up in it. Errors: [ErrUnavailable].
func (s *Service) RecordLogin(ctx context.Context, p Person, l Login) (token string, err error) {
	hash, kind := l.Known, EventLogIn
	var emails []Email
	if hash == "" {
		token = text.NewToken()
		hash = text.Hash(token)
		if !l.SignedUp {
			kind = EventLogInNewBrowser
			if emails, err = s.notice(ctx, EmailBrowser, p, l.From); err != nil {
				return "", err
			}
		}
	}
	return token, s.Store.RecordLogin(ctx, p, hash, s.instant(), s.newAudit(p.ID, kind, l.From, emails...))
}
