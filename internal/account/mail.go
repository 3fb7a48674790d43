package account

import (
	"context"
	"errors"
	"strings"

	"holdfast/internal/text"
)

// OutgoingEmail is an email that can be sent: to whom, about what, and with which link.
type OutgoingEmail struct {
	Kind    EmailKind
	To      string
	Data    EmailData
	Purpose Purpose // of the link; "" for none
	Token   string  // of the link, which is stored nowhere
	Former  bool    // whether the account that is in the way has left the address
}

// ErrNotToSend says that an email is not to be sent: whom it is for has no
// account, or none any more, or its link would be over.
var ErrNotToSend = errors.New("email must not be sent")

// Address makes an email ready to be sent, once for each time that is tried: it
// finds out to whom it goes, which no request that asked for it did, and makes
// the token of its link. Errors: [ErrNotToSend], [ErrUnavailable].
func (s *Service) Address(ctx context.Context, l Email) (OutgoingEmail, error) {
	if strings.HasSuffix(l.To, ".invalid") { // no such address exists (RFC 6761, section 6.4)
		return OutgoingEmail{}, ErrNotToSend
	}
	m, person, err := s.addressed(ctx, l)
	if err != nil {
		return OutgoingEmail{}, err
	}
	m.Purpose = m.Kind.LinkOf()
	link := Link{Purpose: m.Purpose, Person: person, Detail: m.To, Email: l.ID, Created: s.instant()}
	switch {
	case l.Kind == EmailChange && m.Kind != EmailChange:
		// No one gets its token. It shows that the email was sent, see AskEmail.
		link.Purpose, link.Person, link.Detail = PurposeChange, l.Person, l.To
	case m.Purpose == "":
		return m, nil
	case m.Purpose == PurposeUndo:
		link.Created = l.Created
	}
	token, err := s.makeLink(ctx, link)
	if errors.Is(err, ErrNotFound) {
		return OutgoingEmail{}, ErrNotToSend
	}
	if m.Purpose != "" {
		m.Token = token
	}
	return m, err
}

// addressed finds out whom an email goes to and about whom it is.
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
		left, address, err := s.findByFormerEmail(ctx, l.To)
		switch {
		case err == nil && left.ID != l.Person:
			// No name: the one who took the account over may have given it one.
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
	// To the owner of the address, as they wrote it.
	m.Kind, m.To, m.Data.Name = kind, owner.Email, owner.greeting()
	if event == "" || l.Tries > 1 {
		return m, owner.ID, nil
	}
	from := text.Sender{UserAgent: l.Data.Agent, Address: l.Data.Address}
	if err := s.Audit(ctx, owner.ID, event, from); err != nil {
		return OutgoingEmail{}, "", err
	}
	return m, owner.ID, nil
}

func (s *Service) findByFormerEmail(ctx context.Context, email string) (r Record, address string, err error) {
	key, ok := EmailKey(email)
	if !ok {
		return Record{}, "", ErrNotFound
	}
	return s.Store.ByFormerEmailKey(ctx, key, s.instant())
}
