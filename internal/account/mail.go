package account

import (
	"context"
	"errors"
	"strings"

	"holdfast/internal/text"
)

// OutgoingEmail is an email that is ready to send: its recipient, content and link.
type OutgoingEmail struct {
	Kind   EmailKind
	To     string
	Data   EmailData
	Token  string // of the link, which is stored nowhere; "" for no link
	Former bool   // whether the account that blocks the address has left it
}

// ErrNotToSend means that an email must not be sent: its recipient has no account, or
// no longer has one, or its link would have expired.
var ErrNotToSend = errors.New("email must not be sent")

// Address prepares an email for one delivery attempt: it looks up the recipient, which
// the request that asked for the email did not, and creates the token of the link.
// Errors: [ErrNotToSend], [ErrUnavailable].
func (s *Service) Address(ctx context.Context, l Email) (OutgoingEmail, error) {
	if strings.HasSuffix(l.To, ".invalid") { // no such address exists (RFC 6761, section 6.4)
		return OutgoingEmail{}, ErrNotToSend
	}
	m, person, err := s.addressed(ctx, l)
	if err != nil {
		return OutgoingEmail{}, err
	}
	purpose := m.Kind.LinkOf()
	link := Link{Purpose: purpose, Person: person, Detail: m.To, Email: l.ID, Created: s.instant()}
	switch {
	case l.Kind == EmailChange && m.Kind != EmailChange:
		// No one gets this token. The link only shows that the email was sent; see
		// AskEmail.
		link.Purpose, link.Person, link.Detail = PurposeChange, l.Person, l.To
	case purpose == "":
		return m, nil
	case purpose == PurposeUndo:
		link.Created = l.Created
	}
	token, err := s.makeLink(ctx, link)
	if errors.Is(err, ErrNotFound) {
		return OutgoingEmail{}, ErrNotToSend
	}
	if purpose != "" {
		m.Token = token
	}
	return m, err
}

// addressed finds the recipient of an email and the person it is about.
func (s *Service) addressed(ctx context.Context, l Email) (m OutgoingEmail, person string, err error) {
	m = OutgoingEmail{Kind: l.Kind, To: l.To, Data: l.Data}
	var kind EmailKind
	var event EventKind
	switch l.Kind {
	case EmailWelcome:
		kind, event = EmailTaken, EventSignUpAgain
	case EmailChange:
		kind = EmailChangeConflict
	case EmailReset:
		kind, event = EmailReset, EventResetAsked
	case EmailClosing: // unless an operator has enabled the account since
		p, err := s.Find(ctx, l.Person)
		if errors.Is(err, ErrNotFound) || err == nil && p.DeleteAfter.IsZero() {
			err = ErrNotToSend
		}
		return m, l.Person, err
	default:
		return m, l.Person, nil
	}
	owner, err := s.findByEmail(ctx, l.To)
	if errors.Is(err, ErrNotFound) && l.Kind != EmailReset {
		key, _ := EmailKey(l.To) // "", which no address has, if it is not an address
		left, address, err := s.Store.ByFormerEmailKey(ctx, key, s.instant())
		switch {
		case err == nil && left.ID != l.Person:
			// Omit the name: an attacker who took the account over may have chosen it.
			return OutgoingEmail{Kind: kind, To: address, Data: EmailData{Agent: l.Data.Agent, Address: l.Data.Address, At: l.Data.At}, Former: true}, left.ID, nil
		case err != nil && !errors.Is(err, ErrNotFound):
			return OutgoingEmail{}, "", err
		}
	}
	switch {
	case errors.Is(err, ErrNotFound) && l.Kind == EmailChange:
		return m, l.Person, nil // the address is free
	case errors.Is(err, ErrNotFound):
		return OutgoingEmail{}, "", ErrNotToSend
	case err != nil:
		return OutgoingEmail{}, "", err
	case l.Kind == EmailReset && owner.Disabled:
		return OutgoingEmail{}, "", ErrNotToSend
	case l.Person == owner.ID:
		return m, owner.ID, nil
	}
	// Email the owner, at the address as they typed it.
	m.Kind, m.To, m.Data.Name = kind, owner.Email, owner.greeting()
	if event != "" && l.Tries <= 1 {
		err = s.Audit(ctx, owner.ID, event, text.Sender{UserAgent: l.Data.Agent, Address: l.Data.Address})
	}
	return m, owner.ID, err
}
