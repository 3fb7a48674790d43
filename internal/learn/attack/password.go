package attack

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// passwordTries is how many wrong passwords are sent, and passwordWon how many
// of them a server may look at before the attacker has won: a list of the
// commonest passwords is worked through at that rate.
const (
	passwordTries = 60
	passwordWon   = 10
)

// guessPassword sends wrong passwords of the victim's account as fast as they
// are answered, and counts those that were looked at.
func guessPassword(ctx context.Context, t *target) (won bool, facts string) {
	looked, wait := 0, ""
	for n := range passwordTries {
		note := ""
		switch {
		case n == 0:
			note = "The attacker tries a first password."
		case n == 5:
			note = "A sixth, after five wrong ones."
		case n == passwordTries-1:
			note = fmt.Sprintf("And the last of %d.", passwordTries)
		}
		a := t.post(ctx, note, "/login", "", url.Values{"email": {t.victim.email}, "password": {fmt.Sprintf("wrong password number %d", n+1)}})
		switch {
		case a.Code == http.StatusTooManyRequests:
			wait = cmp.Or(wait, a.Header.Get("Retry-After"))
		case a.Code >= http.StatusInternalServerError:
			t.fail(unclear(fmt.Sprintf("a password was not looked at, the answer was %d.", a.Code)))
		default:
			looked++
		}
	}
	facts = fmt.Sprintf("%d of %d passwords were looked at.", looked, passwordTries)
	if wait != "" {
		facts += fmt.Sprintf(" The next one had to wait for %s seconds, and each one after it for longer.", wait)
	}
	return looked > passwordWon, facts
}
