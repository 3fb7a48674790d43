package attack

import (
	"context"

	"holdfast/internal/embeddedredis"
)

// Attack is one of those that [Runner.All] lists.
type Attack struct {
	Name  string // in the address
	Title string
	What  string // what it tries, in two sentences
	Holds string // why it fails here
	Test  string // the test that keeps it so
	File  string // where that test is

	slowed bool // whether it rests on tries being slowed

	stockHolds, stockFalls string // the same of the stock set-up

	// try makes the attack on one server: whether the attacker won, and what
	// was counted. Both count only if the target has not failed.
	try func(context.Context, *target) (won bool, facts string)
	// together, in the place of try, makes it on both at once; there is nil
	// where no stock set-up runs.
	together func(ctx context.Context, server *embeddedredis.Server, here, there *target) (Trial, Trial)
}

// All lists the attacks in the order of the page.
func (r *Runner) All() []Attack { return all() }

func find(name string) (Attack, bool) {
	for _, a := range all() {
		if a.Name == name {
			return a, true
		}
	}
	return Attack{}, false
}

func all() []Attack {
	return []Attack{
		{
			Name: "replay", Title: "Replay a cookie after log-out", try: replay,
			What:  "A thief has copied the cookie, from a shared computer or a log. The owner logs out; then the thief sends the copy. This is a replay.",
			Holds: "logging out removed the record from the store. The cookie is only the name of that record, and now it names nothing.",
			Test:  "TestLogOutEndsTheSessionAtTheServer", File: "web/login_test.go",
			stockHolds: "scs removes the record too (its method Destroy).",
			stockFalls: "the record was still there after the log-out.",
		},
		{
			Name: "fixation", Title: "Plant a cookie before log-in", try: fixation,
			What:  "The attacker puts a session of their own, or one they made up, into the victim’s browser and waits. If logging in keeps that token, the attacker is logged in too. This is called session fixation.",
			Holds: "every log-in makes a new token and ends the earlier session; a token the server did not make is never adopted.",
			Test:  "TestATokenIsNewAtEveryLogIn", File: "web/cookie_test.go",
			stockHolds: "its log-in calls RenewToken, as the scs manual advises. It is one line; without it, the planted session would have become the victim’s.",
			stockFalls: "the log-in kept the token that the attacker knows.",
		},
		{
			Name: "slow", Title: "Bring a session back with a slow request", try: slow,
			What:  "Some requests are still under way when the owner logs out. When they finish, they store the session they started with, and the old cookie works again.",
			Holds: "a session is stored only if the one that was loaded is still there, compared and written in one step. The late requests were refused, and nothing of theirs was stored.",
			Test:  "TestNoRequestInFlightBringsAnEndedSessionBack", File: "internal/session/flight_test.go",
			stockHolds: "this time no request wrote the session back. That is luck: redisstore writes with a plain SET, whatever is there.",
			stockFalls: "redisstore writes with a plain SET, whatever is there. Requests under way at log-out wrote the session back, and the old cookie is logged in again.",
		},
		{
			Name: "forged", Title: "Forge a request from another site", try: forged,
			What:  "A page of another site sends a form here while the victim is logged in, to change something in their name. This is cross-site request forgery (CSRF). It also tries to log the victim in to the attacker’s own account, unnoticed.",
			Holds: "browsers say where a request comes from (Sec-Fetch-Site, Origin), and the server refuses anything that comes from elsewhere, including log-in.",
			Test:  "TestEveryRouteAnswersEachRoleAndRefusesForgery", File: "web/matrix_test.go",
			stockHolds: "it refused both requests.",
			stockFalls: "nothing in it checks where a request comes from. A browser would not send the SameSite=Lax cookie from another site, but would from a sibling host; and the forged log-in needs no cookie at all.",
		},
		{
			Name: "guess", Title: "Guess a token", try: guess,
			What:  "Cookies of the right form are made up at random, as fast as the server answers. A single hit would be someone’s session.",
			Holds: "a token is 256 random bits, and no guess ever hits one.",
			Test:  "TestTokensAreSpreadEvenly", File: "web/cookie_test.go",
			stockHolds: "its tokens are as long and as random.",
			stockFalls: "a guess was someone’s session.",
		},
		{
			Name: "password", Title: "Guess a password", try: guessPassword, slowed: true,
			What:  "The attacker knows an e-mail address and works through a list of common passwords, as fast as the server answers.",
			Holds: "after 5 wrong ones each further try has to wait, twice as long every time, up to 15 minutes: 110 a day at most, from however many addresses. The count is kept in the database, so that neither a restart nor another instance forgets it. A browser that has logged in before does not wait for what others fail.",
			Test:  "TestGuessingIsSlowedButNotOnABrowserThatIsKnown", File: "web/accounts_test.go",
			stockHolds: "it stopped looking at passwords.",
			stockFalls: "nothing in it counts tries. It looks at every password as fast as they come; only the work of hashing would slow that down.",
		},
		{
			Name: "outage", Title: "Stop Redis under you", together: outage,
			What:  "The embedded Redis stops answering for 5 seconds, for everyone here, while people load pages. A server that takes silence for “no session” logs them out; one that waits without a limit hangs.",
			Holds: "silence is not an answer. After a limited time the server says that it cannot tell (503), leaves the cookie alone, and knows the person again as soon as Redis answers.",
			Test:  "TestRedisHangingDelaysNobodyForLong", File: "cmd/holdfast/redis_hang_test.go",
			stockHolds: "it answered in time, and left the cookie alone.",
			stockFalls: "the connection pool in the manual has no time limits, so a request hangs for as long as Redis does.",
		},
	}
}
