package account

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/internal/form"
	"holdfast/internal/password"
	"holdfast/internal/text"
	"holdfast/internal/throttle"
)

// Changes are the changes of an account that take proof: the password or an emailed
// link. Each locks the person's row first, so that a login that is being recorded
// comes either before or after.
type Changes interface {
	// SetPassword puts a hash in the place of the old one, which must not have
	// changed; with a link that must still be valid, in the place of any other, and
	// the address is confirmed if the link was emailed to it. It raises the epoch, ends
	// all sessions but the device named Keep, forgets all browsers but the one of the
	// hash KeepBrowser, spends links and removes emails that would carry one: all
	// but the undo links to addresses that the account had before the one it has.
	// ErrNotFound: the old hash has changed. ErrLinkInvalid.
	SetPassword(ctx context.Context, p NewPassword, a Audit) (Record, error)
	// ConfirmEmail spends a link, marks the address of the key, if it is still the
	// person's, as confirmed, and removes emails that ask for that. ErrLinkInvalid.
	ConfirmEmail(ctx context.Context, l Link, key string, at time.Time, a Audit) (Record, error)
	// MoveEmail spends a link and gives the person another address, confirmed. All
	// other links are spent, and emails that would carry one are removed, except for
	// the undo links to former addresses. With a hash it puts that in the place of the
	// password's, raises the epoch, ends all sessions, forgets all browsers, and spends
	// the undo links to addresses that the account has left since the link's change.
	// audit is called with the person as found then. ErrLinkInvalid, ErrEmailTaken.
	MoveEmail(ctx context.Context, l Link, to Move, audit func(before Record) Audit) (Record, error)
	// AskEmail writes an audit, whose email asks a person to confirm a change to the
	// address of the key, unless such an email waits or was sent since a time.
	AskEmail(ctx context.Context, person, key string, since time.Time, a Audit) error
	// Close removes a person and all that was stored about them, emails to their
	// address and counted attempts too, but not the keys of their sessions, which stay
	// ended, nor the attempts under an address that was never confirmed. It returns the
	// sessions to remove from the session store. With a link, which it spends, the person
	// must wait to be deleted. ErrLinkInvalid, ErrUndoPossible.
	Close(ctx context.Context, id string, l *Link, a Audit) (ended []string, err error)
	// CloseLater disables a person who is to be deleted after a wait, ends all sessions
	// and spends all links but undo links. It does nothing, without an error,
	// for one who waits already.
	CloseLater(ctx context.Context, id string, wait time.Duration, at time.Time, a Audit) error
	// KeepPerson spends a link and ends the wait of a person to be deleted. ErrLinkInvalid.
	KeepPerson(ctx context.Context, l Link, at time.Time, a Audit) (Record, error)
}

// NewPassword is one to be set. Hash is its hash; Old is the hash that it
// replaces, or Link what allows it.
type NewPassword struct {
	Person    string
	Hash, Old string
	Link      *Link
	Keep      string // the device whose session goes on; "" for none
	// KeepBrowser is the hash of the browser that stays known; "" for none.
	KeepBrowser string
	KnowBrowser bool // KeepBrowser is known from now on
	At          time.Time
}

// Move is the address that a person is given; Hash is that of a new password, or
// "".
type Move struct {
	Email, Key string
	Hash       string
	At         time.Time
}

// SignUp makes an account, as [Service.Register] does, for someone at a browser,
// and has an email ask to confirm the address. With always, the owner of an address
// that is taken gets an email instead: the caller then answers [ErrEmailTaken] like
// success, as the work was the same. Errors: [form.Errors], [ErrEmailTaken],
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
	if !taken || always { // where taken is answered like success, it counts like success
		s.refund(ctx, failures)
	}
	if err != nil && !taken {
		s.refund(ctx, all...) // nothing was made
	}
	return p, err
}

// againWithin is how long the same form sent again is taken for another click of
// the same person.
const againWithin = 5 * time.Minute

// signUp verifies the password of an account that is there instead of hashing it for
// a new one, which is the same work: a person who knows it has clicked twice.
func (s *Service) signUp(ctx context.Context, r Registration, always bool, from text.Sender) (Person, error) {
	record, err := s.record(r)
	if err != nil {
		return Person{}, err
	}
	var owner Record
	if always {
		owner, err = s.Store.ByEmailKey(ctx, record.EmailKey)
	}
	audit, taken := Audit{
		Events: []Event{s.event(record.ID, EventSignUp, from)},
		Emails: []Email{s.email(EmailWelcome, record.ID, record.Email, "", from)},
	}, owner.ID != ""
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
		return s.signUp(ctx, r, always, from) // taken or free since
	}
	if err != nil {
		return Person{}, fmt.Errorf("sign up: %w", err)
	}
	if !added {
		return Person{}, ErrEmailTaken
	}
	return record.Person, nil
}

// PasswordChange is what a person who is logged in sends for a new password.
type PasswordChange struct {
	Current, New string
	Keep         string   // the device whose session goes on; "" for none
	Tokens       []string // by which the browser that sends it may be known
	From         text.Sender
}

// samePassword refuses the password that is replaced.
const samePassword = "This is your current password. Choose another one."

// ChangePassword sets a new password for a person who gives the current one,
// ends all their sessions but one, forgets all browsers but the one that sent it,
// and spends their links as ResetPassword does.
// Errors: *[throttle.RetryAfterError], [form.Errors] (field "new"), [ErrInvalidCredentials],
// [ErrUnavailable], [ErrBusy].
func (s *Service) ChangePassword(ctx context.Context, id string, c PasswordChange) (Person, error) {
	record, err := s.reauthenticate(ctx, id, c.Current, c.From)
	if errors.Is(err, ErrInvalidCredentials) { // say what is wrong with the new one, too
		if p, gone := s.Find(ctx, id); gone == nil {
			if weak, _ := s.Weakness("new", c.New, p); weak != nil {
				err = errors.Join(err, weak)
			}
		}
	}
	if err != nil {
		return Person{}, err
	}
	if c.Current == c.New {
		return Person{}, form.Errors{{Field: "new", Message: samePassword}}
	}
	hash, err := s.acceptable(ctx, "new", c.New, record.Person)
	if err != nil {
		return Person{}, err
	}
	browser, err := s.KnownBrowser(ctx, record.Email, c.Tokens)
	if err != nil {
		return Person{}, err
	}
	n := Audit{Events: []Event{s.event(id, EventPasswordChanged, c.From)}}
	if n.Emails, err = s.notice(ctx, EmailPassword, record.Person, c.From); err != nil {
		return Person{}, err
	}
	changed, err := s.Store.SetPassword(ctx,
		NewPassword{Person: id, Hash: hash, Old: record.PasswordHash, Keep: c.Keep, KeepBrowser: browser, At: s.instant()}, n)
	if errors.Is(err, ErrNotFound) {
		return Person{}, ErrInvalidCredentials // another change came first
	}
	if err != nil {
		return Person{}, fmt.Errorf("change password: %w", err)
	}
	return changed.Person, nil
}

// ResetPassword spends an emailed link: it sets a new password, ends all sessions,
// forgets all browsers and starts no session. The browser that sent it is known from
// now on by the token that is returned, so that what strangers guess does not hold up
// its login. All other links are spent, except for
// undo links to addresses that the account had before the one it has: a thief who
// gave it their own would cut its owner off with a reset. Errors: [form.Errors]
// (field "password"), *[throttle.RetryAfterError], [ErrLinkInvalid],
// [ErrUnavailable], [ErrBusy].
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
	hash, err := s.acceptable(ctx, "password", fresh, person)
	if err != nil {
		return Person{}, "", err
	}
	same, _, err := s.Hasher.Verify(hashFor(ctx, person.Email), record.PasswordHash, fresh)
	if err != nil {
		return Person{}, "", err
	}
	if same { // unless this is a second click, and the first has just set it
		if _, err := s.FindLink(ctx, token); err != nil {
			return Person{}, "", err
		}
		return Person{}, "", form.Errors{{Field: "password", Message: samePassword}}
	}
	browser = text.NewToken()
	changed, err := s.Store.SetPassword(ctx,
		NewPassword{Person: person.ID, Hash: hash, Link: &link, KeepBrowser: text.Hash(browser), KnowBrowser: true, At: s.instant()},
		Audit{
			Events: []Event{s.event(person.ID, EventPasswordReset, from)},
			Emails: []Email{s.email(EmailPassword, person.ID, person.Email, person.greeting(), from)},
		})
	if err != nil {
		return Person{}, "", fmt.Errorf("reset password: %w", linkInvalid(err))
	}
	// The owner has shown who they are: what others failed does not hold them up.
	s.clear(ctx, byEmail(PasswordRule(), person.Email), byEmail(devicesRule, person.Email))
	return changed.Person, browser, nil
}

// acceptable returns the hash of a password that the policy lets pass, or
// form.Errors for the field.
func (s *Service) acceptable(ctx context.Context, field, pass string, p Person) (string, error) {
	weak, err := s.Weakness(field, pass, p)
	if err != nil {
		return "", err
	}
	if weak != nil {
		return "", weak
	}
	return s.Hasher.Hash(hashFor(ctx, p.Email), pass)
}

// Weakness returns why the policy refuses a password for a person, as an error of the
// field; nil if it does not. The other error is that of the file of breached passwords.
func (s *Service) Weakness(field, pass string, p Person) (form.Errors, error) {
	problem, err := s.weakness(pass, p.Name, p.Email)
	if err != nil || problem == "" {
		return nil, err
	}
	return form.Errors{{Field: field, Message: problem}}, nil
}

// AskReset has an email sent to the owner of an address, if there is one. That is
// looked up when the email is sent, so that this answers alike for all.
// Errors: *[throttle.RetryAfterError], [form.Errors] (field
// "email"), [ErrUnavailable].
func (s *Service) AskReset(ctx context.Context, email string, from text.Sender) error {
	counted := byEmail(emailRule(EmailReset), email)
	if err := s.Throttle.Take(ctx, bySender(formRule, from), counted); err != nil {
		return err
	}
	address, problem := ParseAddress(email)
	if problem != "" {
		return form.Errors{{Field: "email", Message: problem}}
	}
	if err := s.Store.Audit(ctx, Audit{Emails: []Email{s.email(EmailReset, "", address.Key, "", from)}}); err != nil {
		s.refund(ctx, counted) // none will be sent
		return err
	}
	return nil
}

// AskConfirm has the email sent again that confirms a person's address, and returns
// the person. Errors: *[throttle.RetryAfterError], [ErrNotFound], [ErrUnavailable].
func (s *Service) AskConfirm(ctx context.Context, id string, from text.Sender) (Person, error) {
	p, err := s.Find(ctx, id)
	if err != nil {
		return Person{}, err
	}
	if err := s.Throttle.Take(ctx, bySender(formRule, from), byEmail(emailRule(EmailConfirm), p.Email)); err != nil || p.Verified {
		return p, err
	}
	return p, s.Store.Audit(ctx, Audit{Emails: []Email{s.email(EmailConfirm, id, p.Email, p.greeting(), from)}})
}

// AskEmail has an email sent to the address that a person wants to log in with.
// Nothing changes before it is confirmed; whether the address is free is looked
// for when the email is sent. Errors: *[throttle.RetryAfterError], [form.Errors] (field
// "email"),
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
	return s.Store.AskEmail(ctx, id, address.Key, s.instant().Add(-againWithin), Audit{
		Events: []Event{s.event(id, EventEmailChangeAsked, from)},
		Emails: []Email{s.email(EmailChange, id, address.Email, "", from)},
	})
}

// Close deletes a person's account, and everything that is kept of them, if what
// was typed is the account's address. With wait, and a confirmed address, that is done
// after KeepLife, as the sender may know no more than the password: until then the
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
		return true, nil, s.Store.CloseLater(ctx, id, KeepLife, s.instant(), Audit{
			Events: []Event{s.event(id, EventDeletionAsked, from)},
			Emails: []Email{s.email(EmailClosing, id, p.Email, p.greeting(), from)},
		})
	}
	ended, err = s.Store.Close(ctx, id, nil, s.lastEmail(p, from))
	return false, ended, err
}

func (s *Service) lastEmail(p Person, from text.Sender) Audit {
	return Audit{Emails: []Email{s.email(EmailDeleted, "", p.Email, p.greeting(), from)}}
}

// CloseNow spends the link of an account that waits to be deleted, and deletes it.
// Errors: *[throttle.RetryAfterError], [ErrLinkInvalid], [ErrUndoPossible],
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

// Keep spends the link of an account that waits to be deleted: it is enabled again,
// unless an operator has disabled it. Someone else may know the password, so Keep
// returns the token of a link to choose another; "" if there is none. Errors:
// *[throttle.RetryAfterError], [ErrLinkInvalid], [ErrUnavailable].
func (s *Service) Keep(ctx context.Context, token string, from text.Sender) (p Person, reset string, err error) {
	link, err := s.spendable(ctx, token, from, PurposeKeep)
	if err != nil {
		return Person{}, "", err
	}
	kept, err := s.Store.KeepPerson(ctx, link, s.instant(), Audit{Events: []Event{s.event(link.Person, EventKept, from)}})
	if err != nil {
		return Person{}, "", fmt.Errorf("keep account: %w", linkInvalid(err))
	}
	return kept.Person, s.ResetLink(ctx, kept.ID, link.Detail), nil
}

// ResetLink returns the token of a link to choose a new password, for someone who has
// just shown that they read the email of an account at an address; "" if none could be
// made.
func (s *Service) ResetLink(ctx context.Context, person, address string) string {
	token, err := s.MakeLink(ctx, PurposeReset, person, address)
	if err != nil {
		s.Log.WarnContext(ctx, "no reset link made after another link was used", "cause", err)
		return ""
	}
	return token
}

// LinkOf says which link an email carries; "" for none.
func (k EmailKind) LinkOf() Purpose {
	return map[EmailKind]Purpose{
		EmailWelcome: PurposeConfirm, EmailConfirm: PurposeConfirm,
		EmailReset: PurposeReset, EmailBrowser: PurposeReset,
		EmailChange: PurposeChange, EmailChanged: PurposeUndo, EmailClosing: PurposeKeep,
	}[k]
}
