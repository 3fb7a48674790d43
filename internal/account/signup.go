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

// Registration is what a person enters to create an account.
type Registration struct{ Name, Email, Password string }

// Register creates an account. It returns [form.Errors] with every problem that the
// person can correct (fields "name", "email", "password"), [ErrEmailTaken],
// [ErrUnavailable] or [ErrBusy]. If one address is registered several times at the same
// time, exactly one registration succeeds.
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

// record builds a person without a password from a submitted form, or returns
// [form.Errors].
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
	weak, err := s.weakness("password", r.Password, name, address.Email)
	if err != nil {
		return Record{}, err
	}
	problems = append(problems, weak...)
	person := Person{ID: text.NewID(), Name: name, Email: address.Email, Created: s.instant()}
	return Record{Person: person, EmailKey: address.Key}, problems.Err()
}

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
			if always {
				s.refund(ctx, byEmail(emailRule(EmailWelcome), record.Email))
			}
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
