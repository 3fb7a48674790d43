package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
)

// ErrHelp is returned after help has been printed: there is nothing to do.
var ErrHelp = errors.New("help requested")

// Problem is one setting with an invalid value.
type Problem struct {
	Setting string // name in the environment: REDIS_URL
	Given   string // the value, secrets hidden; "" when it is about several settings
	Source  string // where the value is from: "flag --redis-url", "environment", ".env"
	Need    string // what is allowed
}

// Problems are all invalid settings, in the order of Config.
type Problems []Problem

// Error names every problem, one a line.
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

// name reports whether one of these settings is wrong.
func (p Problems) name(settings ...string) bool {
	return slices.ContainsFunc(p, func(one Problem) bool { return slices.Contains(settings, one.Setting) })
}

var userInfo = regexp.MustCompile(`(?s)://.*@`)

// hideSecrets is for messages about the command line, which repeat parts of it.
func hideSecrets(message string) string {
	return userInfo.ReplaceAllString(message, "://***@")
}
