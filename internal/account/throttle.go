package account

import (
	"context"
	"errors"
	"time"

	"holdfast/internal/text"
	"holdfast/internal/throttle"
)

// PasswordRule is how wrong passwords of one account are slowed, whatever addresses
// they come from: at most 110 a day are verified, and not 200 together with those
// from browsers that it knows and from sessions. Growing waits are among the
// measures of NIST SP 800-63B-4, section 3.2.2, that do not lock the owner out.
func PasswordRule() throttle.Rule {
	return throttle.Rule{Name: "account", Burst: 5, First: 5 * time.Second, Most: 15 * time.Minute, Memory: 24 * time.Hour}
}

// addressRule is by the sender's address, which may be that of a whole office: it
// has more attempts and shorter waits, and what succeeds does not count.
var addressRule = throttle.Rule{Name: "address", Burst: 30, First: 2 * time.Second, Most: 5 * time.Minute, Memory: time.Hour}

// deviceRule is by browser, for one that has logged in to the account before, so
// that what strangers fail does not hold it up (OWASP, "Slow Down Online Guessing
// Attacks with Device Cookies").
func deviceRule() throttle.Rule {
	rule := PasswordRule()
	rule.Name = "device"
	return rule
}

// devicesRule is by account, for all browsers together that it knows: someone who
// has collected many of their cookies has no more attempts than with a few.
var devicesRule = throttle.Rule{Name: "devices", Burst: 10, First: 5 * time.Second, Most: time.Hour, Memory: 24 * time.Hour}

// reauthRule is by account, for those who are logged in to it.
var reauthRule = throttle.Rule{Name: "proof", Burst: 5, First: 5 * time.Second, Most: time.Hour, Memory: 24 * time.Hour}

// signUpRule is by the sender's address, for sign-ups with an address that is taken.
var signUpRule = throttle.Rule{Name: "sign-up", Burst: 20, First: 30 * time.Second, Most: time.Hour, Memory: 24 * time.Hour}

// signUpFloodRule is by the sender's address, for all sign-ups: each makes an account.
// A school signs up from one address.
var signUpFloodRule = throttle.Rule{Name: "sign-ups", Burst: 300, First: 30 * time.Second, Most: time.Hour, Memory: 24 * time.Hour}

// formRule is by the sender's address, for forms that hash no password: asking for
// links, and trying tokens that are no link's.
var formRule = throttle.Rule{Name: "form", Burst: 30, First: 5 * time.Second, Most: 15 * time.Minute, Memory: 24 * time.Hour}

// renameRule is by account: each change writes to the history.
var renameRule = throttle.Rule{Name: "rename", Burst: 20, First: time.Minute, Most: time.Hour, Memory: 24 * time.Hour}

// emailRule is by the address that gets the email: no mailbox is flooded from here.
// Each kind is counted by itself, so that no one is kept from one email by others
// that a stranger asked for. Who is held back from a reset has had a link emailed
// that is valid for as long as the longest wait.
func emailRule(kind EmailKind) throttle.Rule {
	return throttle.Rule{Name: "mail-" + string(kind), Burst: 3, First: time.Minute, Most: ResetLife, Memory: 24 * time.Hour}
}

// unconfirmedRule is emailRule for all that is sent unasked to an address that was
// never confirmed.
var unconfirmedRule = throttle.Rule{Name: "mail-unconfirmed", Burst: 1, First: time.Hour, Most: time.Hour, Memory: 24 * time.Hour}

// byEmail counts by an email address, whether or not it has an account, in whatever
// spelling. The address itself is not stored.
func byEmail(rule throttle.Rule, email string) throttle.Key {
	key, ok := EmailKey(email)
	if !ok {
		key = "no address: " + email // slips counted together would hold everyone up
	}
	return throttle.Key{Rule: rule, Subject: text.Hash(key)}
}

func bySender(rule throttle.Rule, from text.Sender) throttle.Key {
	return throttle.Key{Rule: rule, Subject: throttle.Network(from.Address)}
}

// notice is an email to a person about what someone who knows the password can repeat
// without end, counted. Beyond the limit there is none: the history alone shows it.
func (s *Service) notice(ctx context.Context, kind EmailKind, p Person, from text.Sender) ([]Email, error) {
	rule := emailRule(kind)
	if !p.Verified {
		rule = unconfirmedRule
	}
	err := s.Throttle.Take(ctx, byEmail(rule, p.Email))
	if _, early := errors.AsType[*throttle.RetryAfterError](err); early {
		return nil, nil
	}
	return []Email{s.email(kind, p.ID, p.Email, p.greeting(), from)}, err
}

// refund gives back attempts that did not count in the end, as far as the store allows.
func (s *Service) refund(ctx context.Context, keys ...throttle.Key) {
	for _, key := range keys {
		if err := s.Throttle.Refund(ctx, key); err != nil {
			s.Log.WarnContext(ctx, "throttle refund failed", "cause", err)
		}
	}
}

// clear forgets the attempts before the one that was right.
func (s *Service) clear(ctx context.Context, keys ...throttle.Key) {
	for _, key := range keys {
		if err := s.Throttle.Clear(ctx, key); err != nil {
			s.Log.WarnContext(ctx, "throttle reset failed", "cause", err)
		}
	}
}
