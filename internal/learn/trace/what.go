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

// Masked is a secret of which only the ends are left. Only [Mask] creates it.
type Masked struct{ text string }

// shownEnds is how many characters are left at each end of a masked secret.
const shownEnds = 4

// Mask drops all of secret except its ends. Of a token it keeps 8 of 43 characters:
// 208 random bits are gone. Of a short text it keeps nothing.
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

// String returns what is left of the secret.
func (m Masked) String() string { return m.text }

// tokenShaped matches tokens, and almost nothing else.
var tokenShaped = regexp.MustCompile(`[A-Za-z0-9_-]{43,}`)

// Hide masks everything that looks like a token in a text that people can store in a
// session. It is not for session keys, which look the same.
func Hide(text string) string {
	return tokenShaped.ReplaceAllStringFunc(text, func(found string) string { return Mask(found).String() })
}

// Cookie is the session cookie as sent: how many with that name, and the value if
// there is exactly one.
type Cookie struct {
	Name  string
	Count int
	Value Masked
}

// Form is the check of a token's form, before any lookup.
type Form struct {
	Length   int // characters
	Alphabet bool
	Good     bool
}

// Hash is the key under which a store keeps a session: the SHA-256 of its token in
// base64url.
type Hash struct{ Key string }

// Operation is one command to the session store.
type Operation struct {
	Store string // its display name
	Text  string // the command, with only the number of stored bytes
	Found bool   // a read has found something
	Bytes []byte // the value, if recorded closely, without anything that looks like a token
	Size  int    // of the value, in bytes
	Cause string // why it failed; "" when it did not
}

// Connection is a new connection to the store, with everything that was done before
// anything read over it was trusted. Cause is why it is not trusted, "" when it is.
type Connection struct{ Cause string }

// Decoded is a stored record after it was read.
type Decoded struct{ session.Record }

// Check is the check whether a session has expired.
type Check struct {
	Record session.Record
	Limits session.Limits
	Now    time.Time
}

// Recognised is who sent the request.
type Recognised struct {
	Key    string // the key of the session; "" for none
	Name   string
	Reason session.Reason // "" for a member
}

// Statement is one SQL statement, on one line and without its arguments.
type Statement struct {
	Text  string
	Cause string // why it failed; "" when it did not
}

// Commit is what was done with the stored session, and why.
type Commit struct {
	Act     session.Act
	Key     string        // the key of the session from now on; "" for none
	Before  string        // the key of the session that it replaced, or that ended
	Every   time.Duration // how often a visit is recorded
	Seen    time.Time     // the last recorded visit
	Changes []string      // what changed, in words, without any value
	Cause   string        // why the visit could not be recorded; "" if it was
}

// Changed reports whether the commit changed or ended the session.
func (c Commit) Changed() bool { return c.Act != session.Looked && c.Act != session.NoSession }

// Answer is the cookies that were sent back.
type Answer []Sent

// Sent is a cookie of a response.
type Sent struct {
	Name       string
	Value      Masked
	Attributes []string // "Path=/", "HttpOnly" …
}

// String returns the Set-Cookie header without the secret.
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

// CookiesOf describes the cookies in these Set-Cookie headers.
func CookiesOf(headers []string) (sent Answer) {
	for _, line := range headers {
		sent = append(sent, SentCookie(line))
	}
	return sent
}

// Cause returns an error's text for a page: shortened, with everything that looks
// like a token masked.
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
