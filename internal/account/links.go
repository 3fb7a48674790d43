package account

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"holdfast/internal/form"
	"holdfast/internal/text"
)

// Purpose is what an emailed link is for.
type Purpose string

// The purposes. Their values are stored, so they must not change.
const (
	PurposeConfirm Purpose = "confirm" // confirm that this address is the person's
	PurposeReset   Purpose = "reset"   // set a new password
	PurposeChange  Purpose = "change"  // log in with this address from now on
	PurposeUndo    Purpose = "undo"    // log in with the former address again
	PurposeKeep    Purpose = "keep"    // keep an account that is to be deleted, or delete it now
)

// How long links are valid. Reset links are short-lived (Copenhagen Book, "Password
// reset": about an hour). People may read email once a day, and may be away for some
// days when they lose an account.
const (
	ResetLife   = time.Hour
	ConfirmLife = 24 * time.Hour
	UndoLife    = 7 * 24 * time.Hour
	KeepLife    = 7 * 24 * time.Hour
)

// Life is how long a link is valid after its creation, or 0 for no link.
func (p Purpose) Life() time.Duration {
	return map[Purpose]time.Duration{
		PurposeConfirm: ConfirmLife, PurposeReset: ResetLife, PurposeChange: ConfirmLife, PurposeUndo: UndoLife, PurposeKeep: KeepLife,
	}[p]
}

// LinkOf returns the purpose of the link that an email carries, or "" for none.
func (k EmailKind) LinkOf() Purpose {
	return map[EmailKind]Purpose{
		EmailWelcome: PurposeConfirm, EmailConfirm: PurposeConfirm,
		EmailReset: PurposeReset, EmailBrowser: PurposeReset,
		EmailChange: PurposeChange, EmailChanged: PurposeUndo, EmailClosing: PurposeKeep,
	}[k]
}

// ErrLinkInvalid means that a link was used, has expired, was replaced or never
// existed. All of these give the same answer.
var ErrLinkInvalid = errors.New("link is no longer valid")

// Link is an emailed link as stored, under the hash of its token.
type Link struct {
	Hash    string
	Purpose Purpose
	Person  string
	Detail  string // the address it is about; for a reset, the address it was emailed to, if any
	Email   string // ID of the email that will carry it; "" for none
	// Created is when the link was made. For an undo link it is when the account left
	// the address, by the outbox's clock.
	Created time.Time
	Expires time.Time
}

// MakeLink creates a link for a person and returns its token, which is stored nowhere.
// Errors: [ErrNotFound], [ErrUnavailable].
func (s *Service) MakeLink(ctx context.Context, purpose Purpose, person, detail string) (token string, err error) {
	return s.makeLink(ctx, Link{Purpose: purpose, Person: person, Detail: detail, Created: s.instant()})
}

func (s *Service) makeLink(ctx context.Context, l Link) (token string, err error) {
	token = text.NewToken()
	l.Hash = text.Hash(token)
	l.Expires = s.instant().Add(l.Purpose.Life())
	return token, s.Store.InsertLink(ctx, l)
}

// FindLink returns a link without spending it. Errors: [ErrLinkInvalid],
// [ErrUnavailable].
func (s *Service) FindLink(ctx context.Context, token string) (Link, error) {
	if !text.IsToken(token) {
		return Link{}, ErrLinkInvalid
	}
	link, err := s.Store.FindLink(ctx, text.Hash(token), s.instant())
	return link, linkInvalid(err)
}

// spendable returns a link with one of these purposes. It counts and delays only
// attempts with other tokens, so that no one else can delay the owner of a link.
func (s *Service) spendable(ctx context.Context, token string, from text.Sender, purposes ...Purpose) (Link, error) {
	link, err := s.FindLink(ctx, token)
	if err == nil && !slices.Contains(purposes, link.Purpose) {
		err = ErrLinkInvalid
	}
	if errors.Is(err, ErrLinkInvalid) {
		err = cmp.Or(s.Throttle.Take(ctx, bySender(tokenRule, from)), err)
	}
	return link, err
}

// LinkDone returns the purpose of a link that is no longer valid, if its work is done,
// or "" otherwise. Errors: [ErrUnavailable].
func (s *Service) LinkDone(ctx context.Context, token string) (Purpose, error) {
	return s.Store.LinkDone(ctx, text.Hash(token))
}

// UseLink spends a link that confirms, changes or restores an address. It returns the
// person and the link's purpose. Errors: *[throttle.RetryAfterError], [ErrLinkInvalid],
// [ErrEmailTaken], [ErrUnavailable], [ErrBusy].
func (s *Service) UseLink(ctx context.Context, token string, from text.Sender) (Person, Purpose, error) {
	link, err := s.spendable(ctx, token, from, PurposeConfirm, PurposeChange, PurposeUndo)
	if err != nil {
		return Person{}, "", err
	}
	address, problem := readAddress(link.Detail)
	if problem != "" {
		return Person{}, "", ErrLinkInvalid
	}
	to := Move{Email: address.Email, Key: address.Key, At: s.instant()}
	var record Record
	switch link.Purpose {
	case PurposeConfirm:
		record, err = s.Store.ConfirmEmail(ctx, link, to.Key, to.At, s.newAudit(link.Person, EventEmailConfirmed, from))
	case PurposeChange:
		record, err = s.changeEmail(ctx, link, to, from)
	case PurposeUndo:
		record, err = s.undoEmail(ctx, link, to, from)
	}
	if err != nil {
		return Person{}, link.Purpose, fmt.Errorf("use %s link: %w", link.Purpose, linkInvalid(err))
	}
	return record.Person, link.Purpose, nil
}

// changeEmail spends a link sent to a new address: the person logs in with it from now
// on. The former address is notified and can undo the change.
func (s *Service) changeEmail(ctx context.Context, l Link, to Move, from text.Sender) (Record, error) {
	return s.Store.MoveEmail(ctx, l, to, func(before Record) Audit {
		former := s.email(EmailChanged, before.Person, from)
		former.Data.Email = to.Email
		return s.newAudit(before.ID, EventEmailChanged, from, former)
	})
}

// undoEmail spends a link sent to the former address: the person logs in with that
// address again, all sessions are revoked, and every other link is spent except undo
// links to still earlier addresses. The person who changed the address knew the
// password, so it is replaced by one that no one knows; the owner then resets it.
func (s *Service) undoEmail(ctx context.Context, l Link, to Move, from text.Sender) (_ Record, err error) {
	if to.Hash, err = s.Hasher.Hash(ctx, text.NewToken()); err != nil {
		return Record{}, err
	}
	return s.Store.MoveEmail(ctx, l, to, func(before Record) Audit {
		restored := s.email(EmailUndone, before.Person, from)
		restored.To, restored.Data.Email = to.Email, before.Email
		left := s.email(EmailTakenBack, before.Person, from)
		left.Data.Email = to.Email
		return s.newAudit(before.ID, EventEmailChangeUndone, from, restored, left)
	})
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
	weak, err := s.weakness("password", fresh, record.Name, record.Email)
	if err := cmp.Or(err, weak.Err()); err != nil {
		return Person{}, "", err
	}
	hashing := hashFor(ctx, record.Email)
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
		NewPassword{Person: record.ID, Hash: hash, Link: &link, KeepBrowser: text.Hash(browser), KnowBrowser: true, At: s.instant()},
		s.newAudit(record.ID, EventPasswordReset, from, s.email(EmailPassword, record.Person, from)))
	if err != nil {
		return Person{}, "", fmt.Errorf("reset password: %w", linkInvalid(err))
	}
	// The owner has shown who they are, so other people's failed attempts must not
	// delay them.
	s.clear(ctx, byEmail(PasswordRule(), record.Email), byEmail(devicesRule, record.Email))
	return changed.Person, browser, nil
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

// linkInvalid returns ErrLinkInvalid for a link that was not found or whose person no
// longer exists.
func linkInvalid(err error) error {
	if errors.Is(err, ErrNotFound) {
		return ErrLinkInvalid
	}
	return err
}
