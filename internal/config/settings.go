package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// setting is one field of a Config with what its tags say.
type setting struct {
	flag, env string
	tag       reflect.StructTag
	field     reflect.Value
}

// settingsOf lists the settings of c in order.
func settingsOf(c *Config) []setting {
	var all []setting
	value := reflect.ValueOf(c).Elem()
	for i := range value.NumField() {
		field := value.Type().Field(i)
		if !field.IsExported() {
			continue
		}
		flag := field.Tag.Get("name")
		if flag == "" {
			flag = dashed(field.Name)
		}
		all = append(all, setting{
			flag:  flag,
			env:   strings.ToUpper(strings.ReplaceAll(flag, "-", "_")),
			tag:   field.Tag,
			field: value.Field(i),
		})
	}
	return all
}

func dashed(name string) string {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && unicode.IsUpper(r) {
			b.WriteByte('-')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}

// set gives the setting the value that text stands for. The error says what is
// allowed.
func (s setting) set(text string) (err error) {
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }) {
		return errors.New("text in UTF-8 without control characters is needed")
	}
	if last := len(text) - 1; last > 0 && strings.ContainsRune(`'"`, rune(text[0])) && text[0] == text[last] {
		return errors.New("a value without quotes around it is needed") // docker --env-file keeps them
	}
	switch target := s.field.Addr().Interface().(type) {
	case *string:
		*target, err = s.text(text)
	case *SecretURL:
		*target = SecretURL(text)
		err = checkServer(text, strings.Split(s.tag.Get("schemes"), ","))
	case *int:
		*target, err = s.number(text)
	case *time.Duration:
		*target, err = s.duration(text)
	case *slog.Level:
		*target, err = level(text, s.tag.Get("oneof"))
	case *[]netip.Prefix:
		*target, err = parseNetworks(text)
	default:
		err = fmt.Errorf("no setting can be a %T", target)
	}
	return err
}

func (s setting) text(text string) (string, error) {
	switch s.tag.Get("check") {
	case "host":
		return text, checkHost(text)
	case "hostport":
		return text, checkHostPort(text)
	case "base":
		return checkBase(text)
	case "mail":
		return text, checkMail(text)
	}
	if allowed := s.tag.Get("oneof"); allowed != "" {
		return oneOf(text, allowed)
	}
	return text, nil
}

func oneOf(text, allowed string) (string, error) {
	for one := range strings.SplitSeq(allowed, ",") {
		if strings.EqualFold(text, one) {
			return one, nil
		}
	}
	return "", fmt.Errorf("one of %s is needed", strings.ReplaceAll(allowed, ",", ", "))
}

func (s setting) number(text string) (int, error) {
	low, high := s.tag.Get("min"), s.tag.Get("max")
	least, err1 := strconv.Atoi(low)
	most, err2 := strconv.Atoi(high)
	number, err := strconv.Atoi(text)
	if errors.Join(err, err1, err2) != nil || number < least || number > most {
		return 0, fmt.Errorf("a whole number from %s to %s is needed", low, high)
	}
	return number, nil
}

func (s setting) duration(text string) (time.Duration, error) {
	low, high := s.tag.Get("min"), s.tag.Get("max")
	least, err1 := parseDuration(low)
	most, err2 := parseDuration(high)
	d, err := parseDuration(text)
	if err := errors.Join(err, err1, err2); err != nil {
		return 0, err
	}
	if d < least || d > most {
		return 0, fmt.Errorf("a duration from %s to %s is needed", low, high)
	}
	return d, nil
}

func level(text, allowed string) (slog.Level, error) {
	name, err := oneOf(text, allowed)
	if err != nil {
		return 0, err
	}
	var l slog.Level
	return l, l.UnmarshalText([]byte(name))
}

// show is the value for people: as it could stand in .env, secrets hidden.
func (s setting) show() string {
	switch value := s.field.Interface().(type) {
	case time.Duration:
		return showDuration(value)
	case slog.Level:
		return strings.ToLower(value.String())
	case []netip.Prefix:
		texts := make([]string, len(value))
		for i, network := range value {
			texts[i] = network.String()
		}
		return strings.Join(texts, ",")
	default:
		return fmt.Sprint(value)
	}
}

// given is a wrong value for people, secrets hidden.
func (s setting) given(text string) string {
	if s.field.Type() == reflect.TypeFor[SecretURL]() {
		return mask(text)
	}
	return hideSecrets(text)
}
