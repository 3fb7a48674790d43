package trace

import (
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"holdfast/internal/session"
)

// What is what a step did: one of the types below.
type What any

// Masked is a secret of which only the ends are left. It can be made by [Mask]
// alone.
type Masked struct{ text string }

// shownEnds is how many characters are left at each end of a masked secret.
const shownEnds = 4

// Mask forgets all of secret but its ends. What is left of a
// token is 8 of 43 characters: 208 random bits are gone. Of a short text nothing
// is left.
func Mask(secret string) Masked {
	switch runes := []rune(strings.ToValidUTF8(secret, "?")); {
	case len(runes) >= 4*shownEnds:
		return Masked{string(runes[:shownEnds]) + "…" + string(runes[len(runes)-shownEnds:])}
	case len(runes) > 0:
		return Masked{"…"}
	default:
		return Masked{}
	}
}

// String is what is left of the secret.
func (m Masked) String() string { return m.text }

// tokenShaped is what a token looks like, and next to nothing else.
var tokenShaped = regexp.MustCompile(`[A-Za-z0-9_-]{43,}`)

// Hide masks whatever looks like a token in a text that people can put into a
// session. It is for texts only: the store's names for sessions look the same.
func Hide(text string) string {
	return tokenShaped.ReplaceAllStringFunc(text, func(found string) string { return Mask(found).String() })
}

// Cookie is the session cookie as it came: how many of that name, and the value
// where there is exactly one.
type Cookie struct {
	Name  string
	Count int
	Value Masked
}

// Form is the look at what a token is made of, before any store is asked.
type Form struct {
	Length, Want int // characters
	Alphabet     bool
	Good         bool
}

// Hash is the name a store knows a token by: its SHA-256 in base64url.
type Hash struct{ Key string }

// Operation is one question to the store of sessions.
type Operation struct {
	Store string // its name for people
	Text  string // the command; of stored bytes only their number
	Found bool   // a read has found something
	Bytes []byte // what a close look found, without what looks like a token
	Size  int    // how many bytes that was
	Cause string // why it failed; "" when it did not
}

// Connection is a new connection to the store, and all that was done before
// anything that is read over it is trusted.
type Connection struct {
	Beat  string // the key of the heartbeat
	Cause string // why it is not trusted; "" when it is
}

// Decoded is a stored record after it was read.
type Decoded struct{ session.Record }

// Check is the look at whether a session has expired.
type Check struct {
	Record session.Record
	Limits session.Limits
	Now    time.Time
}

// Recognised is the answer to who is asking.
type Recognised struct {
	Key    string // the store's name for the session; "" when there is none
	Name   string
	Reason session.Reason // "" for a member
}

// Statement is one SQL statement, on one line and without its arguments.
type Statement struct {
	Text  string
	Cause string // why it failed; "" when it did not
}

// Commit is what was done about the stored session, and why.
type Commit struct {
	Act     session.Act
	Key     string        // the store's name for the session from now on; "" for none
	Before  string        // the one whose place it took, or that ended
	Every   time.Duration // how far apart two stored uses are
	Seen    time.Time     // the last use that was stored
	Changes []string      // what changed, in words, without any value
	Cause   string        // why the last use could not be stored; "" otherwise
}

// Changed reports whether the commit was to store or end anything.
func (c Commit) Changed() bool { return c.Act != session.Looked && c.Act != session.Nobody }

// Answer is the cookies that went out.
type Answer []Sent

// Sent is a cookie of an answer.
type Sent struct {
	Name       string
	Value      Masked
	Attributes []string // "Path=/", "HttpOnly" …
}

// String is the Set-Cookie header without the secret.
func (s Sent) String() string {
	return strings.Join(append([]string{s.Name + "=" + s.Value.String()}, s.Attributes...), "; ")
}

// SentCookie describes a Set-Cookie header without its secret.
func SentCookie(header string) Sent {
	pair, attributes, _ := strings.Cut(header, ";")
	name, value, _ := strings.Cut(pair, "=")
	s := Sent{Name: strings.TrimSpace(name), Value: Mask(value)}
	for part := range strings.SplitSeq(attributes, ";") {
		if part = strings.TrimSpace(part); part != "" {
			s.Attributes = append(s.Attributes, part)
		}
	}
	return s
}

// CookiesOf describes every cookie that an answer with these Set-Cookie headers
// sends.
func CookiesOf(headers []string) (sent Answer) {
	for _, line := range headers {
		sent = append(sent, SentCookie(line))
	}
	return sent
}

// Cause is an error's text for a page: what looks like a token is masked, and
// it is not long.
func Cause(err error) string {
	if err == nil {
		return ""
	}
	text := Hide(strings.ToValidUTF8(err.Error(), "?"))
	for len(text) > 200 {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text
}
