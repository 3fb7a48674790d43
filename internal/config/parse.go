package config

import (
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/alecthomas/kong"

	"holdfast/internal/product"
)

// Parse reads the command line without the program's name, the environment through
// getenv, and the .env file at dotenv, which need not exist ("" means no file). It does
// not change the environment.
//
// Help goes to stdout, and Parse then returns ErrHelp. One error, a Problems, lists
// every invalid value; other errors are about the command line or the file. The command
// version needs no settings, so it works even if they are invalid.
func Parse(args []string, getenv func(string) string, dotenv string, stdout io.Writer) (Command, Config, error) {
	var grammar struct {
		Config
		Commands
	}
	flags := make(flagValues)
	name, err := parseArgs(args, &grammar, settingsOf(&grammar.Config), flags, stdout)
	if err != nil {
		return Command{}, Config{}, err
	}
	command := Command{Name: name, Commands: grammar.Commands}
	if name == "version" {
		return command, Config{}, nil
	}
	file, err := readDotenv(dotenv)
	if err != nil {
		return Command{}, Config{}, err
	}
	c := grammar.Config
	problems := c.fill(flags, getenv, file, dotenv)
	if len(problems) > 0 {
		return Command{}, Config{}, problems
	}
	return command, c, nil
}

// parseArgs lets kong parse the command line. It collects the values of settings as
// text in flags, because kong would stop at the first invalid one. (Package
// caarlos0/env reports all, but supports no ranges, sources or secrets: using it takes
// more code, not less.)
func parseArgs(args []string, grammar any, settings []setting, flags flagValues, stdout io.Writer) (string, error) {
	helped := false
	options := []kong.Option{
		kong.Name(product.Slug),
		kong.Description(description),
		kong.Writers(stdout, stdout),
		kong.Exit(func(int) { helped = true }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true, WrapUpperBound: 110}),
		kong.ValueFormatter(describe),
	}
	for _, s := range settings {
		options = append(options, kong.ValueMapper(s.field.Addr().Interface(), flags))
	}
	parser, err := kong.New(grammar, options...)
	if err != nil {
		return "", fmt.Errorf("build the command line: %w", err)
	}
	if slices.ContainsFunc(args, func(arg string) bool { return !utf8.ValidString(arg) }) {
		return "", errors.New("the command line must be UTF-8 text") // kong would replace what is not
	}
	parsed, err := parser.Parse(args)
	if helped {
		return "", ErrHelp
	}
	if err != nil {
		return "", fmt.Errorf("%s (run \"%s --help\" for usage)", hideSecrets(err.Error()), product.Slug)
	}
	return parsed.Command(), nil
}

// flagValues collects the text of each setting's flag, by the flag's name.
type flagValues map[string]string

// Decode implements kong.Mapper.
func (f flagValues) Decode(ctx *kong.DecodeContext, _ reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("", &text); err != nil {
		return errors.New("missing value")
	}
	f[ctx.Value.Name] = text
	return nil
}

// fill gives every setting the value of its first source, and validates all of them.
func (c *Config) fill(flags flagValues, getenv func(string) string, file map[string]string, dotenv string) Problems {
	var problems Problems
	for _, s := range settingsOf(c) {
		text, source := s.tag.Get("initial"), "default"
		switch {
		case flags[s.flag] != "":
			text, source = flags[s.flag], "flag --"+s.flag
		case getenv(s.env) != "":
			text, source = getenv(s.env), "environment"
		case file[s.env] != "":
			text, source = file[s.env], dotenv
		case text == "":
			continue
		}
		if err := s.set(text); err != nil {
			given := hideSecrets(text)
			if s.field.Type() == reflect.TypeFor[SecretURL]() {
				given = mask(text)
			}
			problems = append(problems, Problem{Setting: s.env, Given: given, Source: source, Need: err.Error()})
		}
	}
	if c.PasswordHashConcurrency == 0 {
		// The CPU that is left serves everything else during a flood of logins.
		c.PasswordHashConcurrency = max(1, runtime.GOMAXPROCS(0)-1)
	}
	if c.BaseURL == "" {
		c.derivedBase = true
		c.BaseURL = deriveBase(c.Host, c.Port)
	}
	return append(problems, c.compare(problems)...)
}

// compare checks settings against each other, except those that are invalid
// individually.
func (c *Config) compare(wrong Problems) Problems {
	var problems Problems
	add := func(setting, format string, args ...any) {
		problems = append(problems, Problem{Setting: setting, Need: fmt.Sprintf(format, args...)})
	}
	const life, remember = "SESSION_LIFETIME", "SESSION_REMEMBER_LIFETIME"
	if !wrong.name(life, remember) && c.SessionLifetime > c.SessionRememberLifetime {
		add(life, "%s must not exceed %s (%s)",
			showDuration(c.SessionLifetime), remember, showDuration(c.SessionRememberLifetime))
	}
	if !wrong.name("SMTP_URL", "MAIL_FROM") && c.SMTPURL != "" && strings.HasSuffix(c.MailFrom, "@localhost>") {
		add("MAIL_FROM", "%s is not a valid sender: set your own address when SMTP_URL is set", c.MailFrom)
	}
	_, port, err := net.SplitHostPort(c.MetricsAddr)
	if !wrong.name("METRICS_ADDR", "PORT") && err == nil && port == strconv.Itoa(c.Port) && port != "0" {
		add("METRICS_ADDR", "port %s is already used by PORT; choose another", port)
	}
	return problems
}
