package account

import (
	"context"
	"errors"
	"time"

	"holdfast/internal/password"
	"holdfast/internal/text"
	"holdfast/internal/throttle"
)

// Logins keeps what a login is verified with and leaves behind.
type Logins interface {
	// ReplacePasswordHash puts a new hash in the place of the old one, or returns
	// ErrNotFound if that has changed.
	ReplacePasswordHash(ctx context.Context, id, old, new string) error
	// KnownBrowser returns which of these hashes is known of the person with the key,
	// the latest used; "" for none.
	KnownBrowser(ctx context.Context, key string, hashes []string) (hash string, err error)
	// RecordLogin records that a browser has logged in: it is known now, if the
	// person's epoch is still this one.
	RecordLogin(ctx context.Context, p Person, hash string, at time.Time, a Audit) error
}

// Current reports whether a person may still log in with the password that was
// verified when p was read.
func (s *Service) Current(ctx context.Context, p Person) (bool, error) {
	now, err := s.Find(ctx, p.ID)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil && now.Epoch == p.Epoch && !now.Disabled, err
}

// Reauthenticate verifies the password of a person who is logged in, as often as
// that may be tried. Errors: *[throttle.RetryAfterError], [ErrInvalidCredentials],
// [ErrUnavailable], [ErrBusy].
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

// KnownBrowser returns the hash of that of the tokens with which the person of
// this address has logged in before, or "". Errors: [ErrUnavailable].
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
	Tokens          []string // by which the browser may be known
	From            text.Sender
}

// LogIn verifies an email and a password, as often as that may be tried, and records
// the login as RecordLogin does. Attempts are counted by account and by address, or
// for a known browser by that browser, and by all such browsers together. Errors:
// *[throttle.RetryAfterError], [ErrInvalidCredentials], [ErrUnavailable], [ErrBusy].
func (s *Service) LogIn(ctx context.Context, a Attempt) (p Person, token string, err error) {
	known, err := s.KnownBrowser(ctx, a.Email, a.Tokens)
	if err != nil {
		return Person{}, "", err
	}
	keys := []throttle.Key{byEmail(PasswordRule(), a.Email), bySender(addressRule, a.From)}
	if known != "" {
		keys = []throttle.Key{{Rule: deviceRule(), Subject: known}, byEmail(devicesRule, a.Email)}
	}
	if err := s.Throttle.Take(ctx, keys...); err != nil {
		return Person{}, "", err
	}
	p, err = s.Authenticate(ctx, a.Email, a.Password)
	switch {
	case errors.Is(err, ErrInvalidCredentials):
		if failed := s.AuditFailedLogin(ctx, a.Email, a.From); failed != nil {
			return Person{}, "", failed
		}
		return Person{}, "", err
	case err != nil:
		s.refund(ctx, keys...) // nothing was tried
		return Person{}, "", err
	}
	s.clear(ctx, keys[0])
	s.refund(ctx, keys[1:]...)
	token, err = s.RecordLogin(ctx, p, Login{Known: known, From: a.From})
	return p, token, err
}

// Login is a login as it is recorded.
type Login struct {
	Known    string // hash of the known browser that it came from; "" for none
	SignedUp bool   // whether it is where the account was just made
	From     text.Sender
}

// RecordLogin records a login before its session is made: an email about one that
// then fails is better than none about one that succeeds. A browser that has not
// logged in to the account before is known from now on, by the token that is
// returned, and the person is notified, unless it is where they signed up.
// Errors: [ErrUnavailable].
func (s *Service) RecordLogin(ctx context.Context, p Person, l Login) (token string, err error) {
	hash, kind := l.Known, EventLogIn
	var emails []Email
	if hash == "" {
		token = text.NewToken()
		hash = text.Hash(token)
	}
	if token != "" && !l.SignedUp {
		kind = EventLogInNewBrowser
		if emails, err = s.notice(ctx, EmailBrowser, p, l.From); err != nil {
			return "", err
		}
	}
	return token, s.Store.RecordLogin(ctx, p, hash, s.instant(), Audit{Events: []Event{s.event(p.ID, kind, l.From)}, Emails: emails})
}
