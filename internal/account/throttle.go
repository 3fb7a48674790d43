package account

import (
	"context"
	"errors"
	"time"

	"holdfast/internal/text"
	"holdfast/internal/throttle"
)

// PasswordRule limits wrong passwords per account, over all sender addresses: at most
// 110 a day are verified, and fewer than 200 together with those from known browsers
// and from sessions. Growing waits are among the measures of NIST SP 800-63B-4, section
// 3.2.2, that do not lock the owner out.
func PasswordRule() throttle.Rule {
	return throttle.Rule{Name: "account", Burst: 5, First: 5 * time.Second, Most: 15 * time.Minute, Memory: 24 * time.Hour}
}

// addressRule limits attempts per sender address, which a whole office may share: it
// allows more attempts and shorter waits, and successes do not count.
var addressRule = throttle.Rule{Name: "address", Burst: 30, First: 2 * time.Second, Most: 5 * time.Minute, Memory: time.Hour}

// deviceRule limits attempts per browser that has logged in to the account before, as
// PasswordRule does, so that strangers' failures do not delay it (OWASP, "Slow Down
// Online Guessing Attacks with Device Cookies").
var deviceRule = throttle.Rule{Name: "device", Burst: 5, First: 5 * time.Second, Most: 15 * time.Minute, Memory: 24 * time.Hour}

// devicesRule limits attempts per account, over all its known browsers: collecting many
// of their cookies gains no more attempts than having a few.
var devicesRule = throttle.Rule{Name: "devices", Burst: 10, First: 5 * time.Second, Most: time.Hour, Memory: 24 * time.Hour}

// reauthRule limits attempts per account by people who are logged in to it.
var reauthRule = throttle.Rule{Name: "proof", Burst: 5, First: 5 * time.Second, Most: time.Hour, Memory: 24 * time.Hour}

// signUpRule limits sign-ups with a taken address, per sender address.
var signUpRule = throttle.Rule{Name: "sign-up", Burst: 20, First: 30 * time.Second, Most: time.Hour, Memory: 24 * time.Hour}

// signUpFloodRule limits all sign-ups per sender address, because each creates an
// account. A whole school may sign up from one address.
var signUpFloodRule = throttle.Rule{Name: "sign-ups", Burst: 300, First: 30 * time.Second, Most: time.Hour, Memory: 24 * time.Hour}

// askRule limits requests for links, per sender address, which a whole school may share.
// emailRule limits what one recipient gets.
var askRule = throttle.Rule{Name: "links", Burst: 300, First: 5 * time.Second, Most: 15 * time.Minute, Memory: 24 * time.Hour}

// tokenRule limits attempts with invalid tokens, per sender address. The name is stored.
var tokenRule = throttle.Rule{Name: "form", Burst: 30, First: 5 * time.Second, Most: 15 * time.Minute, Memory: 24 * time.Hour}

// renameRule limits renames per account: each one writes to the history.
var renameRule = throttle.Rule{Name: "rename", Burst: 20, First: time.Minute, Most: time.Hour, Memory: 24 * time.Hour}

// emailRule limits emails per recipient, so that no one can use us to flood a mailbox.
// Each kind is counted separately, so that a stranger's requests for one email do not
// block another. A person who has to wait for a reset email has already been sent a
// link that is valid for as long as the longest wait.
func emailRule(kind EmailKind) throttle.Rule {
	return throttle.Rule{Name: "mail-" + string(kind), Burst: 3, First: time.Minute, Most: ResetLife, Memory: 24 * time.Hour}
}

// unconfirmedRule is emailRule for all unrequested email to an address that was never
// confirmed.
var unconfirmedRule = throttle.Rule{Name: "mail-unconfirmed", Burst: 1, First: time.Hour, Most: time.Hour, Memory: 24 * time.Hour}

// byEmail counts by email address, in any spelling, whether or not it has an account.
// The address itself is not stored.
func byEmail(rule throttle.Rule, email string) throttle.Key {
	key, ok := EmailKey(email)
	if !ok {
		key = "no address: " + email // counting all typing mistakes together would delay everyone
	}
	return throttle.Key{Rule: rule, Subject: text.Hash(key)}
}

func bySender(rule throttle.Rule, from text.Sender) throttle.Key {
	return throttle.Key{Rule: rule, Subject: throttle.Network(from.Address)}
}

// notice returns an email that notifies a person of something that anyone who knows the
// password can repeat without limit. Beyond the rate limit it returns none, and only
// the history shows the event.
func (s *Service) notice(ctx context.Context, kind EmailKind, p Person, from text.Sender) ([]Email, error) {
	rule := emailRule(kind)
	if !p.Verified {
		rule = unconfirmedRule
	}
	err := s.Throttle.Take(ctx, byEmail(rule, p.Email))
	if _, early := errors.AsType[*throttle.RetryAfterError](err); early {
		return nil, nil
	}
	return []Email{s.email(kind, p, from)}, err
}

// refund gives back attempts that did not count in the end, as far as the store allows.
func (s *Service) refund(ctx context.Context, keys ...throttle.Key) {
	for _, key := range keys {
		if err := s.Throttle.Refund(ctx, key); err != nil {
			s.Log.WarnContext(ctx, "throttle refund failed", "cause", err)
		}
	}
}

// clear forgets the failed attempts before a successful one.
func (s *Service) clear(ctx context.Context, keys ...throttle.Key) {
	for _, key := range keys {
		if err := s.Throttle.Clear(ctx, key); err != nil {
			s.Log.WarnContext(ctx, "throttle reset failed", "cause", err)
		}
	}
}
