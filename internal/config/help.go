package config

import (
	"cmp"
	"reflect"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

const description = `A login application whose sessions survive server restarts.

Set each option with a flag, an environment variable, or a NAME=value line in the file .env in the current directory,
in that order of precedence. Passwords in flags are visible to all users of this machine; put them in the environment
or in .env.`

// describe adds a setting's environment variable and default to its help.
func describe(value *kong.Value) string {
	unset := cmp.Or(value.Tag.Get("initial"), value.Tag.Get("unset"))
	if unset == "" {
		return value.Help
	}
	return value.Help + " [$" + envName(value.Name) + ", default: " + unset + "]"
}

var placeHolders = map[reflect.Type]string{
	reflect.TypeFor[int]():           "NUMBER",
	reflect.TypeFor[time.Duration](): "DURATION",
	reflect.TypeFor[SecretURL]():     "URL",
}

// PlaceHolder implements kong.PlaceHolderProvider: it names the kind of value.
func (f flagValues) PlaceHolder(flag *kong.Flag) string {
	allowed := strings.ReplaceAll(flag.Tag.Get("oneof"), ",", "|")
	return cmp.Or(allowed, placeHolders[flag.Target.Type()], "TEXT")
}
