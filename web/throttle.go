package web

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/throttle"
)

// How tries are slowed. An account lets 110 wrong passwords a day through at
// most, however many addresses they come from: growing waits are one of the ways
// of NIST SP 800-63B-4, section 3.2.2, which do not lock the owner out. An
// address is somebody's home or a whole office, so it has more tries to itself
// and shorter waits, and what succeeds does not count.
func accountRule() throttle.Rule {
	return throttle.Rule{Name: "account", Free: 5, First: 5 * time.Second, Most: 15 * time.Minute, Memory: 24 * time.Hour}
}

func addressRule() throttle.Rule {
	return throttle.Rule{Name: "address", Free: 30, First: 2 * time.Second, Most: 5 * time.Minute, Memory: time.Hour}
}

// A browser that has logged in to the account before is counted by itself, and
// so is somebody who is logged in: what others fail holds neither up (OWASP,
// "Slow Down Online Guessing Attacks with Device Cookies").
func deviceRule() throttle.Rule {
	rule := accountRule()
	rule.Name = "device"
	return rule
}

func proofRule() throttle.Rule {
	rule := accountRule()
	rule.Name = "proof"
	return rule
}

// signUpRule is by address: each sign-up that is let through makes an account.
func signUpRule() throttle.Rule {
	return throttle.Rule{Name: "sign-up", Free: 20, First: 30 * time.Second, Most: time.Hour, Memory: 24 * time.Hour}
}

// mailRule is by the address that would get the mail: nobody's mailbox is
// flooded from here.
func mailRule() throttle.Rule {
	return throttle.Rule{Name: "mail", Free: 3, First: time.Minute, Most: time.Hour, Memory: 24 * time.Hour}
}

// formRule is by address, for forms that hash no password: asking for links and
// spending them.
func formRule() throttle.Rule {
	return throttle.Rule{Name: "form", Free: 30, First: 5 * time.Second, Most: 15 * time.Minute, Memory: 24 * time.Hour}
}

// byEmail counts by an e-mail address, whether or not it has an account, in
// whatever spelling. The address itself is not kept.
func byEmail(rule throttle.Rule, email string) throttle.Key {
	key, ok := account.EmailKey(email)
	if !ok {
		key = "no address: " + email // everybody's slips counted together would hold all up
	}
	sum := sha256.Sum256([]byte(key))
	return throttle.Key{Rule: rule, Of: base64.RawURLEncoding.EncodeToString(sum[:])}
}

func byAddress(rule throttle.Rule, c echo.Context) throttle.Key {
	return throttle.Key{Rule: rule, Of: throttle.Network(c.RealIP())}
}

// take counts a try under every key. For one that comes too early, it returns
// what the person is told.
func (s *Site) take(c echo.Context, keys ...throttle.Key) (early string, err error) {
	err = s.Throttle.Take(c.Request().Context(), keys...)
	var held *throttle.Held
	if !errors.As(err, &held) {
		return "", err
	}
	seconds := int((held.Wait + time.Second - 1) / time.Second)
	c.Response().Header().Set("Retry-After", strconv.Itoa(seconds))
	s.tell(c, "throttled", "", slog.String("rule", keys[0].Rule.Name))
	return "Too many tries. Try again in " + waitWords(seconds) + ".", nil
}

// waitWords rounds up, so that nobody comes back too early.
func waitWords(seconds int) string {
	if seconds <= 90 {
		return count(seconds, "second")
	}
	return count((seconds+59)/60, "minute")
}

// giveBack takes back tries that turned out to be none. It is no matter for the
// person when that fails.
func (s *Site) giveBack(ctx context.Context, keys ...throttle.Key) {
	for _, key := range keys {
		if err := s.Throttle.GiveBack(ctx, key); err != nil {
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
