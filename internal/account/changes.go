package account

import (
	"context"
	"errors"
	"fmt"

	"holdfast/internal/form"
	"holdfast/internal/password"
	"holdfast/internal/text"
)

// PasswordChange is a logged-in person's request for a new password.
type PasswordChange struct {
	Current, New string
	Keep         string   // the device whose session continues; "" for none
	Tokens       []string // may identify a known browser
	From         text.Sender
}

// samePassword is the message for a new password that equals the current one.
const samePassword = "This is your current password. Choose another one."

// ChangePassword sets a new password for a person who enters the current one. It
// revokes all their sessions except one, forgets all browsers except the one that sent
// the request, and spends links as ResetPassword does. Errors:
// *[throttle.RetryAfterError], [form.Errors] (fields "current", "new"),
// [ErrInvalidCredentials], joined with [form.Errors] if the new password is refused,
// [ErrNotFound], [ErrUnavailable], [ErrBusy].
func (s *Service) ChangePassword(ctx context.Context, id string, c PasswordChange) (Person, error) {
	p, err := s.Find(ctx, id)
	if err != nil {
		return Person{}, err
	}
	weak, err := s.weakness("new", c.New, p.Name, p.Email)
	if err != nil {
		return Person{}, err
	}
	if c.Current == "" {
		return Person{}, append(form.Errors{{Field: "current", Message: "Enter your current password."}}, weak...)
	}
	record, err := s.reauthenticate(ctx, id, c.Current, c.From)
	switch {
	case errors.Is(err, ErrInvalidCredentials):
		return Person{}, errors.Join(err, weak.Err())
	case err != nil:
		return Person{}, err
	case c.Current == c.New:
		return Person{}, form.Errors{{Field: "new", Message: samePassword}}
	case weak != nil:
		return Person{}, weak
	}
	hash, err := s.Hasher.Hash(hashFor(ctx, record.Email), c.New)
	if err != nil {
		return Person{}, err
	}
	browser, err := s.KnownBrowser(ctx, record.Email, c.Tokens)
	if err != nil {
		return Person{}, err
	}
	emails, err := s.notice(ctx, EmailPassword, record.Person, c.From)
	if err != nil {
		return Person{}, err
	}
	changed, err := s.Store.SetPassword(ctx,
		NewPassword{Person: id, Hash: hash, Old: record.PasswordHash, Keep: c.Keep, KeepBrowser: browser, At: s.instant()},
		s.newAudit(id, EventPasswordChanged, c.From, emails...))
	if errors.Is(err, ErrNotFound) {
		return Person{}, ErrInvalidCredentials // another change came first
	}
	if err != nil {
		return Person{}, fmt.Errorf("change password: %w", err)
	}
	return changed.Person, nil
}

// weakness returns why the policy refuses a password for a person, as an error of the
// field, or nil if it does not. The second error comes from the file of breached
// passwords.
func (s *Service) weakness(field, pass, name, email string) (form.Errors, error) {
	err := s.Policy.Check(pass, name, email)
	if weak, ok := errors.AsType[*password.Weak](err); ok {
		return form.Errors{{Field: field, Message: weak.Reason}}, nil
	}
	return nil, err
}

// AskReset sends an email to the owner of an address, if there is one. The owner is
// looked up only when the email is sent, so AskReset answers the same for every
// address. Errors: *[throttle.RetryAfterError], [form.Errors] (field "email"),
// [ErrUnavailable].
func (s *Service) AskReset(ctx context.Context, email string, from text.Sender) error {
	counted := byEmail(emailRule(EmailReset), email)
	if err := s.Throttle.Take(ctx, bySender(askRule, from), counted); err != nil {
		return err
	}
	address, problem := ParseAddress(email)
	if problem != "" {
		return form.Errors{{Field: "email", Message: problem}}
	}
	err := s.Store.Audit(ctx, Audit{Emails: []Email{s.email(EmailReset, Person{Email: address.Key}, from)}})
	if err != nil {
		s.refund(ctx, counted) // no email will be sent
	}
	return err
}

// AskConfirm sends the email that confirms a person's address again, and returns the
// person. Errors: *[throttle.RetryAfterError], [ErrNotFound], [ErrUnavailable].
func (s *Service) AskConfirm(ctx context.Context, id string, from text.Sender) (Person, error) {
	p, err := s.Find(ctx, id)
	if err != nil {
		return Person{}, err
	}
	if err := s.Throttle.Take(ctx, bySender(askRule, from), byEmail(emailRule(EmailConfirm), p.Email)); err != nil || p.Verified {
		return p, err
	}
	return p, s.Store.Audit(ctx, Audit{Emails: []Email{s.email(EmailConfirm, p, from)}})
}

// AskEmail sends an email to the address that a person wants to log in with. Nothing
// changes until the address is confirmed. Whether it is free is checked when the email
// is sent. Errors: *[throttle.RetryAfterError], [form.Errors] (field "email"),
// [ErrNotFound], [ErrUnavailable].
func (s *Service) AskEmail(ctx context.Context, id, email string, from text.Sender) error {
	if err := s.Throttle.Take(ctx, bySender(askRule, from), byEmail(emailRule(EmailChange), email)); err != nil {
		return err
	}
	p, err := s.Find(ctx, id)
	if err != nil {
		return err
	}
	address, problem := ParseAddress(email)
	if problem == "" && address.Email == p.Email {
		problem = "This is already your email address."
	}
	if problem != "" {
		return form.Errors{{Field: "email", Message: problem}}
	}
	return s.Store.AskEmail(ctx, id, address.Key, s.instant().Add(-againWithin),
		s.newAudit(id, EventEmailChangeAsked, from, s.email(EmailChange, Person{ID: id, Email: address.Email}, from)))
}

// Close deletes a person's account and everything stored about them, if typed is the
// account's address. With wait and a confirmed address, it deletes the account only
// after KeepLife, because the sender may know no more than the password: until then the
// account is disabled, and an emailed link keeps it. Otherwise it returns the names of
// the sessions to remove from the session store. Errors: [form.Errors] (field "email"),
// [ErrNotFound], [ErrUnavailable].
func (s *Service) Close(ctx context.Context, id, typed string, wait bool, from text.Sender) (waits bool, ended []string, err error) {
	p, err := s.Find(ctx, id)
	if err != nil {
		return false, nil, err
	}
	own, _ := readAddress(p.Email)
	given, problem := readAddress(typed)
	switch {
	case problem != "":
		return false, nil, form.Errors{{Field: "email", Message: problem}}
	case given.Key != own.Key:
		return false, nil, form.Errors{{Field: "email", Message: "That is not the email address of this account."}}
	case wait && p.Verified:
		return true, nil, s.Store.CloseLater(ctx, id, KeepLife, s.instant(),
			s.newAudit(id, EventDeletionAsked, from, s.email(EmailClosing, p, from)))
	}
	ended, err = s.Store.Close(ctx, id, nil, s.lastEmail(p, from))
	return false, ended, err
}

func (s *Service) lastEmail(p Person, from text.Sender) Audit {
	p.ID = "" // the person will no longer exist
	return Audit{Emails: []Email{s.email(EmailDeleted, p, from)}}
}
