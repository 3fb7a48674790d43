package config

import (
	"reflect"
	"strings"
	"time"

	"holdfast/internal/product"
)

// EnvExample returns the required content of .env.example.
func EnvExample() string {
	b := new(strings.Builder)
	b.WriteString(`# ` + product.Name + ` settings. Copy this file to .env and uncomment the lines you change. A
# missing or empty setting uses its default. Flags and environment variables
# override this file.
#
# Write durations as 500ms, 10s, 15m, 24h or 7d. Put a value that contains a space,
# $ or # in 'single quotes'.
`)
	group := ""
	for _, s := range settingsOf(new(Config)) {
		if g := s.tag.Get("group"); g != group {
			group = g
			b.WriteString("\n\n# --- " + group + " ---\n")
		}
		b.WriteString("\n# " + s.tag.Get("help") + "\n")
		if allowed := s.allowed(); allowed != "" {
			b.WriteString("# (" + allowed + ")\n")
		}
		value := s.tag.Get("initial")
		if strings.ContainsAny(value, " $#") {
			value = "'" + value + "'"
		}
		if s.env != "PORT" {
			b.WriteString("# ")
		}
		b.WriteString(s.env + "=" + value + "\n")
	}
	return b.String()
}

func (s setting) allowed() string {
	kind := ""
	switch s.field.Type() {
	case reflect.TypeFor[int]():
		kind = s.tag.Get("min") + " to " + s.tag.Get("max")
	case reflect.TypeFor[time.Duration]():
		kind = s.tag.Get("min") + " to " + s.tag.Get("max")
	}
	if one := s.tag.Get("oneof"); one != "" {
		kind = strings.ReplaceAll(one, ",", " | ")
	}
	if unset := s.tag.Get("unset"); unset != "" {
		return "empty: " + unset
	}
	return kind
}
