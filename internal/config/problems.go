package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// ErrHelp is returned after help has been printed: there is nothing to do.
var ErrHelp = errors.New("help was asked for")

// Problem is one setting whose value cannot be used.
type Problem struct {
	Setting string // name in the environment: REDIS_URL
	Given   string // the value, secrets hidden; "" when it is about several settings
	Source  string // where the value stands: "flag --redis-url", "environment", ".env"
	Need    string // what is allowed
}

// Problems is every setting that is wrong, in the order of Config.
type Problems []Problem

// Error names every problem, one a line.
func (p Problems) Error() string {
	var b strings.Builder
	if len(p) == 1 {
		b.WriteString("a setting is wrong:")
	} else {
		fmt.Fprintf(&b, "%d settings are wrong:", len(p))
	}
	for _, one := range p {
		b.WriteString("\n  " + one.Setting)
		if one.Source != "" {
			fmt.Fprintf(&b, " is %q (%s)", one.Given, one.Source)
		}
		b.WriteString(": " + one.Need)
	}
	return b.String()
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
