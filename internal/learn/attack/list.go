package attack

import (
	"context"

	"holdfast/internal/embeddedredis"
)

// Attack is one of the attacks that [Runner.All] lists.
type Attack struct {
	Name  string // in the address
	Title string
	What  string // what it attempts, in two sentences
	Holds string // why it fails here
	Test  string // the test that checks this
	File  string // the file with that test

	slowed bool // whether it fails because attempts are limited

	stockHolds, stockFalls string // why it fails or succeeds against the typical set-up

	// try runs the attack against one server. It returns whether the attacker won,
	// and what was counted; neither counts if the target has failed.
	try func(context.Context, *target) (won bool, facts string)
	// together, if set, replaces try and runs the attack against all targets at the same
	// time.
	together func(ctx context.Context, server *embeddedredis.Server, targets []*target) []Trial
}

// All lists the attacks in the order of the page.
func (r *Runner) All() []Attack { return all() }

func all() []Attack {
	return []Attack{
		{
			Name: "replay", Title: "Replay a cookie after logout", try: replay,
			What:  "A thief has copied the cookie, from a shared computer or a log. The owner logs out, then the thief sends the copy. This is called a replay attack.",
			Holds: "logging out deleted the record from the store. The cookie only points to that record, and now points to nothing.",
			Test:  "TestLogOutEndsTheSessionAtTheServer", File: "web/login_test.go",
			stockHolds: "scs deletes the record too (with its method Destroy).",
			stockFalls: "the record was still there after logout.",
		},
		{
			Name: "fixation", Title: "Plant a cookie before login", try: fixation,
			What:  "The attacker puts a session of their own, or one they made up, into the victim’s browser and waits. If logging in keeps that token, the attacker is logged in too. This is called session fixation.",
			Holds: "every login creates a new token and ends the earlier session. The server never adopts a token it did not create.",
			Test:  "TestATokenIsNewAtEveryLogIn", File: "web/cookie_test.go",
			stockHolds: "its login calls RenewToken, as the scs manual advises. Without that one line, the planted session would have become the victim’s.",
			stockFalls: "the login kept the token that the attacker knows.",
		},
		{
			Name: "slow", Title: "Bring a session back with a slow request", try: slow,
			What:  "Some requests are still running when the owner logs out. When they finish, they save the session they started with, and the old cookie works again.",
			Holds: "a session is saved only if the one that was loaded is still there, compared and saved in one step. The late requests were refused and saved nothing.",
			Test:  "TestNoRequestInFlightBringsAnEndedSessionBack", File: "internal/session/flight_test.go",
			stockHolds: "no request wrote the session back this time. That was luck: redisstore overwrites whatever is there with a plain SET.",
			stockFalls: "redisstore overwrites whatever is there with a plain SET. Requests running at logout wrote the session back, and the old cookie works again.",
		},
		{
			Name: "forged", Title: "Forge a request from another site", try: forged,
			What:  "A page on another site submits a form here while the victim is logged in, to change something in their name. This is cross-site request forgery (CSRF). The page also tries to log the victim in to the attacker’s account without them noticing.",
			Holds: "browsers say where a request comes from (Sec-Fetch-Site, Origin), and the server refuses anything from elsewhere, including a login.",
			Test:  "TestEveryRouteAnswersEachRoleAndRefusesForgery", File: "web/matrix_test.go",
			stockHolds: "it refused both requests.",
			stockFalls: "it does not check where a request comes from. A browser would not send the SameSite=Lax cookie from another site, but would from a sibling host, and the forged login needs no cookie at all.",
		},
		{
			Name: "guess", Title: "Guess a token", try: guess,
			What:  "The attacker sends random cookies in the right format, as fast as the server answers. One hit would be someone’s session.",
			Holds: "a token is 256 random bits, so no guess will ever hit one.",
			Test:  "TestTokensAreSpreadEvenly", File: "web/cookie_test.go",
			stockHolds: "its tokens are as long and as random.",
			stockFalls: "a guess was someone’s session.",
		},
		{
			Name: "password", Title: "Guess a password", try: guessPassword, slowed: true,
			What:  "The attacker knows an email address and works through a list of common passwords, as fast as the server answers.",
			Holds: "after 5 wrong passwords each attempt has to wait, twice as long each time, up to 15 minutes: at most 110 a day, from any number of IP addresses. The count is in the database, so it survives a restart and all servers share it. Other people’s failures do not slow down a browser that has logged in before.",
			Test:  "TestGuessingIsSlowedButNotOnABrowserThatIsKnown", File: "web/accounts_test.go",
			stockHolds: "it stopped checking passwords.",
			stockFalls: "it does not count attempts. It checks every password as fast as they arrive; only the cost of hashing would slow that down.",
		},
		{
			Name: "outage", Title: "Freeze Redis while you are logged in", together: outage,
			What:  "The embedded Redis stops answering for 5 seconds, for everyone using this server, while people load pages. A server that mistakes silence for “no session” logs them out. One that waits without a limit hangs.",
			Holds: "silence is not an answer. After a short wait the server says that it cannot tell (503), leaves the cookie alone, and recognises the person as soon as Redis answers again.",
			Test:  "TestRedisHangingDelaysNobodyForLong", File: "cmd/holdfast/redis_hang_test.go",
			stockHolds: "it answered in time, and left the cookie alone.",
			stockFalls: "the connection pool in the manual has no time limits, so a request hangs for as long as Redis does.",
		},
	}
}
