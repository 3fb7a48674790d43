package attack

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// passwordTries is how many wrong passwords are sent. The attacker has won if the
// server checks more than passwordWon of them: at that rate, a list of the most
// common passwords can be worked through.
const (
	passwordTries = 60
	passwordWon   = 10
)

// guessPassword sends wrong passwords of the victim's account as fast as they
// are answered, and counts those that were checked.
func guessPassword(ctx context.Context, t *target) (won bool, facts string) {
	checked, wait := 0, ""
	for n := range passwordTries {
		note := ""
		switch {
		case n == 0:
			note = "The attacker tries the first password."
		case n == 5:
			note = "The sixth, after five wrong ones."
		case n == passwordTries-1:
			note = fmt.Sprintf("The last of %d.", passwordTries)
		}
		a := t.post(ctx, note, "/login", "", url.Values{"email": {t.victim.email}, "password": {fmt.Sprintf("wrong password number %d", n+1)}})
		switch {
		case a.Code == http.StatusTooManyRequests:
			wait = cmp.Or(wait, a.Header.Get("Retry-After"))
		case a.Code >= http.StatusInternalServerError:
			t.fail(unclear(fmt.Sprintf("a password was not checked: the server answered %d.", a.Code)))
		default:
			checked++
		}
	}
	facts = fmt.Sprintf("%d of %d passwords were checked.", checked, passwordTries)
	if wait != "" {
		facts += fmt.Sprintf(" The next would have had to wait %s seconds. The others came sooner, and were refused unchecked.", wait)
	}
	return checked > passwordWon, facts
}
