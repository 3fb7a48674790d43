package account

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/internal/form"
	"holdfast/internal/password"
	"holdfast/internal/text"
	"holdfast/internal/throttle"
)

// SignUp creates an account, as [Service.Register] does, for someone using a browser,
// and sends an email that asks to confirm the address. With always, the owner of a
// taken address gets an email instead: the caller then answers [ErrEmailTaken] like
// success, because the work was the same. Errors: [form.Errors], [ErrEmailTaken],
// [ErrUnavailable], [ErrBusy].
func (s *Service) SignUp(ctx context.Context, r Registration, always bool, from text.Sender) (Person, error) {
	failures, all := bySender(signUpRule, from), []throttle.Key{bySender(signUpFloodRule, from)}
	if always {
		all = append(all, byEmail(emailRule(EmailWelcome), r.Email))
	}
	if err := s.Throttle.Take(ctx, append(all, failures)...); err != nil {
		return Person{}, err
	}
	p, err := s.signUp(password.For(ctx, throttle.Network(from.Address)), r, always, from)
	taken := errors.Is(err, ErrEmailTaken)
	if !taken || always { // if the answer for a taken address looks like success, it counts like success
		s.refund(ctx, failures)
	}
	if err != nil && !taken {
		s.refund(ctx, all...) // no account was created
	}
	return p, err
}

// againWithin is how long a repeated form counts as another click by the same person.
const againWithin = 5 * time.Minute

// signUp verifies the password of an existing account instead of hashing it for a new
// one, which is the same work. If the password matches, the person has clicked twice.
func (s *Service) signUp(ctx context.Context, r Registration, always bool, from text.Sender) (Person, error) {
	record, err := s.record(r)
	if err != nil {
		return Person{}, err
	}
	var owner Record
	if always {
		owner, err = s.Store.ByEmailKey(ctx, record.EmailKey)
	}
	audit := s.newAudit(record.ID, EventSignUp, from, s.email(EmailWelcome, record.Person, from))
	taken := owner.ID != ""
	switch {
	case err != nil && !errors.Is(err, ErrNotFound):
		return Person{}, err
	case taken:
		same, _, err := s.Hasher.Verify(ctx, owner.PasswordHash, r.Password)
		if err != nil {
			return Person{}, err
		}
		if same && s.instant().Sub(owner.Created) < againWithin {
			audit.Emails = nil
		}
		record.PasswordHash = owner.PasswordHash // never stored
	default:
		if record.PasswordHash, err = s.Hasher.Hash(ctx, r.Password); err != nil {
			return Person{}, err
		}
	}
	added, err := s.Store.SignUp(ctx, record, audit, always, taken)
	if errors.Is(err, ErrNotFound) {
		return s.signUp(ctx, r, always, from) // taken or freed in the meantime
	}
	if err != nil {
		return Person{}, fmt.Errorf("sign up: %w", err)
	}
	if !added {
		return Person{}, ErrEmailTaken
	}
	return record.Person, nil
}

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

// ResetPassword spends an emailed link: it sets a new password, revokes all sessions,
// forgets all browsers and starts no session. It returns a token that makes the browser
// that sent it known from now on, so that strangers' guesses do not delay its login. It
// spends all other links except undo links to addresses that the account had before its
// current one: otherwise a thief who changed the address could lock the owner out with
// a reset. Errors: [form.Errors] (field "password"), *[throttle.RetryAfterError],
// [ErrLinkInvalid], [ErrUnavailable], [ErrBusy].
func (s *Service) ResetPassword(ctx context.Context, token, fresh string, from text.Sender) (p Person, browser string, err error) {
	link, err := s.spendable(ctx, token, from, PurposeReset)
	if err != nil {
		return Person{}, "", err
	}
	record, err := s.Store.ByID(ctx, link.Person)
	if err != nil {
		return Person{}, "", linkInvalid(err)
	}
	person := record.Person
	weak, err := s.weakness("password", fresh, person.Name, person.Email)
	if err := cmp.Or(err, weak.Err()); err != nil {
		return Person{}, "", err
	}
	hashing := hashFor(ctx, person.Email)
	same, _, err := s.Hasher.Verify(hashing, record.PasswordHash, fresh)
	if err != nil {
		return Person{}, "", err
	}
	if same { // unless this is a second click and the first has just set it
		if _, err := s.FindLink(ctx, token); err != nil {
			return Person{}, "", err
		}
		return Person{}, "", form.Errors{{Field: "password", Message: samePassword}}
	}
	hash, err := s.Hasher.Hash(hashing, fresh)
	if err != nil {
		return Person{}, "", err
	}
	browser = text.NewToken()
	changed, err := s.Store.SetPassword(ctx,
		NewPassword{Person: person.ID, Hash: hash, Link: &link, KeepBrowser: text.Hash(browser), KnowBrowser: true, At: s.instant()},
		s.newAudit(person.ID, EventPasswordReset, from, s.email(EmailPassword, person, from)))
	if err != nil {
		return Person{}, "", fmt.Errorf("reset password: %w", linkInvalid(err))
	}
	// The owner has shown who they are, so other people's failed attempts must not
	// delay them.
	s.clear(ctx, byEmail(PasswordRule(), person.Email), byEmail(devicesRule, person.Email))
	return changed.Person, browser, nil
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
	if err := s.Throttle.Take(ctx, bySender(formRule, from), counted); err != nil {
		return err
	}
	address, problem := ParseAddress(email)
	if problem != "" {
		return form.Errors{{Field: "email", Message: problem}}
	}
	if err := s.Store.Audit(ctx, Audit{Emails: []Email{s.email(EmailReset, Person{Email: address.Key}, from)}}); err != nil {
		s.refund(ctx, counted) // no email will be sent
		return err
	}
	return nil
}

// AskConfirm sends the email that confirms a person's address again, and returns the
// person. Errors: *[throttle.RetryAfterError], [ErrNotFound], [ErrUnavailable].
func (s *Service) AskConfirm(ctx context.Context, id string, from text.Sender) (Person, error) {
	p, err := s.Find(ctx, id)
	if err != nil {
		return Person{}, err
	}
	if err := s.Throttle.Take(ctx, bySender(formRule, from), byEmail(emailRule(EmailConfirm), p.Email)); err != nil || p.Verified {
		return p, err
	}
	return p, s.Store.Audit(ctx, Audit{Emails: []Email{s.email(EmailConfirm, p, from)}})
}

// AskEmail sends an email to the address that a person wants to log in with. Nothing
// changes until the address is confirmed. Whether it is free is checked when the email
// is sent. Errors: *[throttle.RetryAfterError], [form.Errors] (field "email"),
// [ErrNotFound], [ErrUnavailable].
func (s *Service) AskEmail(ctx context.Context, id, email string, from text.Sender) error {
	if err := s.Throttle.Take(ctx, bySender(formRule, from), byEmail(emailRule(EmailChange), email)); err != nil {
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

// CloseNow spends the link of an account that is scheduled for deletion, and deletes
// it. Errors: *[throttle.RetryAfterError], [ErrLinkInvalid], [ErrUndoPossible],
// [ErrUnavailable].
func (s *Service) CloseNow(ctx context.Context, token string, from text.Sender) (Person, error) {
	link, err := s.spendable(ctx, token, from, PurposeKeep)
	if err != nil {
		return Person{}, err
	}
	p, err := s.Find(ctx, link.Person)
	if err == nil {
		_, err = s.Store.Close(ctx, p.ID, &link, s.lastEmail(p, from))
	}
	return p, linkInvalid(err)
}

// Keep spends the link of an account that is scheduled for deletion, and enables the
// account again, unless an operator has disabled it. Someone else may know the
// password, so Keep returns the token of a link to choose another, or "" if there is
// none. Errors: *[throttle.RetryAfterError], [ErrLinkInvalid], [ErrUnavailable].
func (s *Service) Keep(ctx context.Context, token string, from text.Sender) (p Person, reset string, err error) {
	link, err := s.spendable(ctx, token, from, PurposeKeep)
	if err != nil {
		return Person{}, "", err
	}
	kept, err := s.Store.KeepPerson(ctx, link, s.instant(), s.newAudit(link.Person, EventKept, from))
	if err != nil {
		return Person{}, "", fmt.Errorf("keep account: %w", linkInvalid(err))
	}
	return kept.Person, s.ResetLink(ctx, kept.ID, link.Detail), nil
}

// ResetLink returns the token of a link to choose a new password, for someone who has
// just shown that they read an account's email at an address. It returns "" if it could
// not make a link.
func (s *Service) ResetLink(ctx context.Context, person, address string) string {
	token, err := s.MakeLink(ctx, PurposeReset, person, address)
	if err != nil {
		s.Log.WarnContext(ctx, "no reset link made after another link was used", "cause", err)
		return ""
	}
	return token
}

// LinkOf returns the purpose of the link that an email carries, or "" for none.
func (k EmailKind) LinkOf() Purpose {
	return map[EmailKind]Purpose{
		EmailWelcome: PurposeConfirm, EmailConfirm: PurposeConfirm,
		EmailReset: PurposeReset, EmailBrowser: PurposeReset,
		EmailChange: PurposeChange, EmailChanged: PurposeUndo, EmailClosing: PurposeKeep,
	}[k]
}
