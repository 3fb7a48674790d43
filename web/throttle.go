package web

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/text"
	"holdfast/internal/throttle"
)

// How tries are slowed. An account lets 110 wrong passwords a day through at
// most, however many addresses they come from, and not 200 together with those
// from browsers that it knows and from sessions: growing waits are one of the ways
// of NIST SP 800-63B-4, section 3.2.2, which do not lock the owner out. An
// address is somebody's home or a whole office, so it has more tries to itself
// and shorter waits, and what succeeds does not count.
func accountRule() throttle.Rule {
	return throttle.Rule{Name: "account", Burst: 5, First: 5 * time.Second, Most: 15 * time.Minute, Memory: 24 * time.Hour}
}

func addressRule() throttle.Rule {
	return throttle.Rule{Name: "address", Burst: 30, First: 2 * time.Second, Most: 5 * time.Minute, Memory: time.Hour}
}

// A browser that has logged in to the account before is counted by itself, and
// so is somebody who is logged in: what strangers fail holds neither up (OWASP,
// "Slow Down Online Guessing Attacks with Device Cookies").
func deviceRule() throttle.Rule {
	rule := accountRule()
	rule.Name = "device"
	return rule
}

// devicesRule is by account, for all browsers together that it knows: whoever has
// collected many of their cookies has no more tries than with a few.
func devicesRule() throttle.Rule {
	return throttle.Rule{Name: "devices", Burst: 10, First: 5 * time.Second, Most: time.Hour, Memory: 24 * time.Hour}
}

func reauthRule() throttle.Rule {
	return throttle.Rule{Name: "proof", Burst: 5, First: 5 * time.Second, Most: time.Hour, Memory: 24 * time.Hour}
}

// signUpRule is by address: each sign-up that is let through makes an account.
func signUpRule() throttle.Rule {
	return throttle.Rule{Name: "sign-up", Burst: 20, First: 30 * time.Second, Most: time.Hour, Memory: 24 * time.Hour}
}

// mailRule is by the address that would get the mail: nobody's mailbox is
// flooded from here. Each purpose is counted by itself, so that nobody is kept
// from one mail by others that somebody else asked for. What counts for a reset
// has had a link mailed that is good for as long as the longest wait.
func mailRule(purpose account.EmailKind) throttle.Rule {
	return throttle.Rule{Name: "mail-" + string(purpose), Burst: 3, First: time.Minute, Most: account.ResetLife, Memory: 24 * time.Hour}
}

// unconfirmedRule is mailRule for all that is mailed to an address of which
// nobody has shown that it is theirs, but for what they ask for.
func unconfirmedRule() throttle.Rule {
	return throttle.Rule{Name: "mail-unconfirmed", Burst: 1, First: time.Hour, Most: time.Hour, Memory: 24 * time.Hour}
}

// mayMail counts a mail that tells of what whoever knows the password can do
// without end. When there have been enough, the history alone tells of it.
func (s *Site) mayMail(ctx context.Context, p account.Person, kind account.EmailKind) (bool, error) {
	rule := mailRule(kind)
	if !p.Verified {
		rule = unconfirmedRule()
	}
	err := s.Throttle.Take(ctx, byEmail(rule, p.Email))
	if _, held := errors.AsType[*throttle.RetryAfterError](err); held {
		return false, nil
	}
	return err == nil, err
}

// formRule is by address, for forms that hash no password: asking for links and
// spending them.
func formRule() throttle.Rule {
	return throttle.Rule{Name: "form", Burst: 30, First: 5 * time.Second, Most: 15 * time.Minute, Memory: 24 * time.Hour}
}

// byEmail counts by an e-mail address, whether or not it has an account, in
// whatever spelling. The address itself is not kept.
func byEmail(rule throttle.Rule, email string) throttle.Key {
	key, ok := account.EmailKey(email)
	if !ok {
		key = "no address: " + email // everybody's slips counted together would hold all up
	}
	return throttle.Key{Rule: rule, Subject: text.Hash(key)}
}

func byAddress(rule throttle.Rule, c echo.Context) throttle.Key {
	return throttle.Key{Rule: rule, Subject: throttle.Network(c.RealIP())}
}

// take counts a try under every key. For one that comes too early, it returns
// what the person is told.
func (s *Site) take(c echo.Context, keys ...throttle.Key) (early string, err error) {
	err = s.Throttle.Take(c.Request().Context(), keys...)
	var held *throttle.RetryAfterError
	if !errors.As(err, &held) {
		return "", err
	}
	seconds := int((held.Wait + time.Second - 1) / time.Second)
	c.Response().Header().Set("Retry-After", strconv.Itoa(seconds))
	s.logEvent(c, "throttled", "", slog.String("rule", keys[0].Rule.Name))
	return "Too many tries. Try again in " + waitWords(seconds) + ".", nil
}

// waitWords rounds up, so that nobody comes back too early.
func waitWords(seconds int) string {
	if seconds <= 90 {
		return count(seconds, "second")
	}
	return count((seconds+59)/60, "minute")
}

// refund takes back tries that turned out to be none. It is no matter for the
// person when that fails.
func (s *Site) refund(ctx context.Context, keys ...throttle.Key) {
	for _, key := range keys {
		if err := s.Throttle.Refund(ctx, key); err != nil {
			s.Log.WarnContext(ctx, "try not given back", "cause", err)
		}
	}
}

// clear forgets the tries before the one that was right.
func (s *Site) clear(ctx context.Context, key throttle.Key) {
	if err := s.Throttle.Clear(ctx, key); err != nil {
		s.Log.WarnContext(ctx, "tries not forgotten", "cause", err)
	}
}
