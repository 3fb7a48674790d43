package pages

import (
	"fmt"
	"slices"

	"github.com/labstack/echo/v4"

	"holdfast/internal/learn/attack"
	"holdfast/internal/learn/restartcheck"
	"holdfast/internal/session"
	"holdfast/web"
)

// guess asks what will happen before the user presses the button that shows it.
type guess struct {
	ID, Question string
	Options      []guessOption
}

type guessOption struct{ Value, Text string }

func restartGuess() guess {
	return guess{"guess", "What will happen to your session?", []guessOption{
		{restartcheck.Known, "It is still there"},
		{restartcheck.Stranger, "It is gone"},
	}}
}

func secondGuess() guess {
	return guess{"guess", "What will it do with your cookie?", []guessOption{
		{restartcheck.Known, "It greets me"},
		{restartcheck.Stranger, "It asks me to log in"},
		{restartcheck.Refused, "It does not start"},
	}}
}

func attackGuess(name string) guess {
	return guess{"guess-" + name, "What will happen on this server?", []guessOption{
		{string(attack.Failed), "The attack fails"},
		{string(attack.Succeeded), "The attack succeeds"},
	}}
}

// Values of the session: the score, and a guess that waits for a restart. A restart
// that ends the session deletes them too, which is the lesson.
const (
	scoreKey   = "guesses right"
	waitingKey = "guess about the restart"
)

// guessed returns the guess in the submitted form, or "" for none.
func (g guess) guessed(c echo.Context) string {
	sent := web.Sent(c)["guess"]
	if slices.ContainsFunc(g.Options, func(o guessOption) bool { return o.Value == sent }) {
		return sent
	}
	return ""
}

// judge compares a guess with what happened, says so on the next page, and counts it in
// the session.
func judge(sess *session.Session, guessed, happened string) {
	if guessed == "" {
		return
	}
	var right, all int
	_, _ = fmt.Sscanf(sess.Values()[scoreKey], "%d of %d", &right, &all) // 0 of 0 if that is anything else
	all++
	verdict := "That was not what you guessed"
	if guessed == happened {
		right++
		verdict = "You guessed right"
	}
	score := fmt.Sprintf("%d of %d", right, all)
	if sess.Set(scoreKey, score) == nil { // a full session gets no score
		sess.Flash(verdict + ": " + score + " so far. The score is kept in your session.")
	}
}
