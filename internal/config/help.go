package config

import (
	"cmp"
	"reflect"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

const description = `Log in once. Restart the server. It still knows you.

Each setting is a flag, a variable of the environment or a line NAME=value of the file .env here; the first that has
a value wins. A password in a flag can be seen by every user of the machine: put it into the environment or .env.`

// describe adds a setting's name in the environment and its default to its
// help.
func describe(value *kong.Value) string {
	unset := value.Tag.Get("unset")
	initial := value.Tag.Get("initial")
	switch {
	case initial != "":
		unset = "default " + initial
	case unset != "":
		unset = "default: " + unset
	default:
		return value.Help
	}
	return value.Help + " [" + envName(value.Name) + ", " + unset + "]"
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
