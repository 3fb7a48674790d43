package account

import (
	"context"
	"errors"
	"fmt"

	"holdfast/internal/text"
)

// Mail is a letter that can be sent: to whom, about what, and with which link.
type Mail struct {
	Kind    LetterKind
	To      string
	Facts   Facts
	Purpose Purpose // of the link; "" for none
	Token   string  // of the link, which stands here and nowhere else
	Former  bool    // whether the account that is in the way has left the address
}

// ErrNotToSend says that a letter is not to be sent: whom it is for has no
// account, or none any more, or its link would be over.
var ErrNotToSend = errors.New("letter is not to be sent")

// Address makes a letter ready to be sent, once for each time that is tried: it
// finds out to whom it goes, which no request that asked for it did, and makes
// the token of its link. Errors: [ErrNotToSend], [ErrUnavailable].
func (s *Service) Address(ctx context.Context, l Letter) (Mail, error) {
	m, person, err := s.addressed(ctx, l)
	if err != nil {
		return Mail{}, err
	}
	if m.Purpose = m.Kind.LinkOf(); m.Purpose == "" {
		return m, nil
	}
	link := Link{Purpose: m.Purpose, Person: person, Detail: m.To, Letter: l.ID, Created: s.instant()}
	if m.Purpose == PurposeUndo {
		link.Created = l.Created
	}
	m.Token, err = s.makeLink(ctx, link)
	if errors.Is(err, ErrNotFound) {
		return Mail{}, ErrNotToSend
	}
	return m, err
}

// addressed finds out whom a letter goes to and about whom it is.
func (s *Service) addressed(ctx context.Context, l Letter) (m Mail, person string, err error) {
	m = Mail{Kind: l.Kind, To: l.To, Facts: l.Facts}
	var kind LetterKind
	var event EventKind
	switch l.Kind {
	case LetterWelcome:
		kind, event = LetterTaken, EventSignUpAgain
	case LetterChange:
		kind = LetterChangeConflict
	case LetterReset:
		kind, event = LetterReset, EventResetAsked
	default:
		return m, l.Person, nil
	}
	owner, err := s.findByEmail(ctx, l.To)
	if errors.Is(err, ErrNotFound) && l.Kind != LetterReset {
		left, address, err := s.findByFormerEmail(ctx, l.To)
		switch {
		case err == nil && left.ID != l.Person:
			// No name: whoever took the account over may have given it one.
			return Mail{Kind: kind, To: address, Facts: Facts{Agent: l.Facts.Agent, Address: l.Facts.Address, At: l.Facts.At}, Former: true}, left.ID, nil
		case err != nil && !errors.Is(err, ErrNotFound):
			return Mail{}, "", fmt.Errorf("find whom a letter is for: %w", err)
		}
	}
	switch {
	case errors.Is(err, ErrNotFound) && l.Kind == LetterChange:
		return m, l.Person, nil // nobody has it
	case errors.Is(err, ErrNotFound):
		return Mail{}, "", ErrNotToSend
	case err != nil:
		return Mail{}, "", fmt.Errorf("find whom a letter is for: %w", err)
	case l.Kind == LetterReset && owner.Disabled:
		return Mail{}, "", ErrNotToSend
	case l.Person == owner.ID:
		return m, owner.ID, nil
	}
	// To the owner of the address, as they wrote it.
	m.Kind, m.To, m.Facts.Name = kind, owner.Email, owner.greeting()
	if event == "" || l.Tries > 1 {
		return m, owner.ID, nil
	}
	from := text.Sender{UserAgent: l.Facts.Agent, Address: l.Facts.Address}
	if err := s.Note(ctx, owner.ID, event, from); err != nil {
		return Mail{}, "", err
	}
	return m, owner.ID, nil
}

func (s *Service) findByFormerEmail(ctx context.Context, email string) (r Record, address string, err error) {
	_, key, problem := cleanEmail(email)
	if problem != "" {
		return Record{}, "", ErrNotFound
	}
	return s.store.ByFormerEmailKey(ctx, key, s.instant())
}
