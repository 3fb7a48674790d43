package config

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// setting is one field of a Config with the contents of its tags.
type setting struct {
	flag, env string
	tag       reflect.StructTag
	field     reflect.Value
}

var wordStart = regexp.MustCompile(`([a-z])([A-Z])`)

// settingsOf returns the settings of c in order.
func settingsOf(c *Config) []setting {
	var all []setting
	for field, value := range reflect.ValueOf(c).Elem().Fields() {
		if !field.IsExported() {
			continue
		}
		flag := cmp.Or(field.Tag.Get("name"), strings.ToLower(wordStart.ReplaceAllString(field.Name, "$1-$2")))
		all = append(all, setting{flag: flag, env: envName(flag), tag: field.Tag, field: value})
	}
	return all
}

func envName(flag string) string { return strings.ToUpper(strings.ReplaceAll(flag, "-", "_")) }

// set parses text into the setting's field. The error says what is allowed.
func (s setting) set(text string) (err error) {
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }) {
		return errors.New("must be valid UTF-8 without control characters")
	}
	if text != strings.TrimSpace(text) {
		return errors.New("must not begin or end with a space")
	}
	if last := len(text) - 1; last > 0 && strings.ContainsRune(`'"`, rune(text[0])) && text[0] == text[last] {
		return errors.New("must not have quotes around it") // docker --env-file keeps them
	}
	if allowed := s.tag.Get("oneof"); allowed != "" {
		if text, err = oneOf(text, allowed); err != nil {
			return err
		}
	}
	switch target := s.field.Addr().Interface().(type) {
	case *string:
		*target = text
		switch s.tag.Get("check") {
		case "directory":
			err = checkDirectory(text)
		case "host":
			err = checkHost(text)
		case "hostport":
			err = checkHostPort(text)
		case "base":
			*target, err = checkBase(text)
		case "cookie":
			err = checkCookie(text)
		case "mail":
			err = checkMail(text)
		}
	case *SecretURL:
		*target = SecretURL(text)
		err = checkServer(text, strings.Split(s.tag.Get("schemes"), ","))
	case *int:
		*target, err = within(s, text, "whole number", strconv.Atoi)
	case *time.Duration:
		*target, err = within(s, text, "duration", parseDuration)
	case *slog.Level:
		err = target.UnmarshalText([]byte(text))
	case *[]netip.Prefix:
		*target, err = parseNetworks(text)
	default:
		err = fmt.Errorf("no setting can be a %T", target)
	}
	return err
}

func oneOf(text, allowed string) (string, error) {
	for one := range strings.SplitSeq(allowed, ",") {
		if strings.EqualFold(text, one) {
			return one, nil
		}
	}
	return "", fmt.Errorf("must be one of %s", strings.ReplaceAll(allowed, ",", ", "))
}

// within parses a value and checks it against the limits in the tags. kind is the word
// for it in messages.
func within[T int | time.Duration](s setting, text, kind string, parse func(string) (T, error)) (T, error) {
	low, high := s.tag.Get("min"), s.tag.Get("max")
	least, err1 := parse(low)
	most, err2 := parse(high)
	value, err := parse(text)
	_, notNumber := errors.AsType[*strconv.NumError](err)
	if notNumber || err == nil && (value < least || value > most) {
		err = fmt.Errorf("must be a %s from %s to %s", kind, low, high)
	}
	return value, errors.Join(err, err1, err2)
}

// show returns the value as it could be written in .env, with secrets hidden.
func (s setting) show() string {
	switch value := s.field.Interface().(type) {
	case time.Duration:
		return showDuration(value)
	case slog.Level:
		return strings.ToLower(value.String())
	case []netip.Prefix:
		return strings.ReplaceAll(strings.Trim(fmt.Sprint(value), "[]"), " ", ",")
	default:
		return fmt.Sprint(value)
	}
}

// String returns one line for each setting, NAME=value, with secrets hidden.
func (c Config) String() string {
	var b strings.Builder
	for _, s := range settingsOf(&c) {
		b.WriteString(s.env + "=" + s.show() + "\n")
	}
	return b.String()
}

// Environ returns every setting that is not empty as NAME=value, secrets included,
// for the environment of another server with the same settings.
func (c Config) Environ() []string {
	var environ []string
	for _, s := range settingsOf(&c) {
		value := s.show()
		if secret, ok := s.field.Interface().(SecretURL); ok {
			value = secret.Reveal()
		}
		if value != "" {
			environ = append(environ, s.env+"="+value)
		}
	}
	return environ
}
