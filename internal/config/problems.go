package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
)

// ErrHelp is returned after help has been printed: there is nothing more to do.
var ErrHelp = errors.New("help requested")

// Problem is one setting with an invalid value.
type Problem struct {
	Setting string // environment variable: REDIS_URL
	Given   string // the value, with secrets hidden; "" if several settings are involved
	Source  string // where the value comes from: "flag --redis-url", "environment", ".env"
	Need    string // what is allowed
}

// Problems holds all invalid settings, in the order of Config.
type Problems []Problem

// Error lists every problem, one per line.
func (p Problems) Error() string {
	text := fmt.Sprintf("%d invalid settings:", len(p))
	if len(p) == 1 {
		text = "invalid setting:"
	}
	for _, one := range p {
		text += "\n  " + one.Setting
		if one.Source != "" {
			text += fmt.Sprintf(" is %q (%s)", one.Given, one.Source)
		}
		text += ": " + one.Need
	}
	return text
}

// name reports whether any of these settings is invalid.
func (p Problems) name(settings ...string) bool {
	return slices.ContainsFunc(p, func(one Problem) bool { return slices.Contains(settings, one.Setting) })
}

var userInfo = regexp.MustCompile(`(?s)://.*@`)

// hideSecrets hides secrets in messages about the command line, which repeat parts of
// it.
func hideSecrets(message string) string {
	return userInfo.ReplaceAllString(message, "://***@")
}
