package session

import (
	"strings"
	"unicode/utf8"
)

// parseWritten reads a record exactly as [encodeRecord] writes it: every field
// in its place, no white space, no escape in a string, no flashes. ok is false
// for anything else, which may be a record all the same: it is for
// encoding/json to say, as what is read here has the same meaning there. Almost
// every request reads such a record, in a tenth of the time that
// encoding/json takes.
func parseWritten(raw []byte) (r storedRecord, ok bool) {
	s := written{string(raw)}
	r.Version = RecordVersion
	ok = s.next(`{"v":1`) &&
		(!s.next(`,"key":`) || s.text(&r.Key)) &&
		(!s.next(`,"write":`) || s.text(&r.Write)) &&
		s.next(`,"created":`) && s.number(&r.Created) &&
		s.next(`,"seen":`) && s.number(&r.Seen) &&
		s.next(`,"ends":`) && s.number(&r.Deadline)
	if ok && s.next(`,"member":{`) {
		r.Member = new(storedMember)
		ok = s.next(`"id":`) && s.text(&r.Member.ID) &&
			s.next(`,"name":`) && s.text(&r.Member.Name) &&
			s.next(`,"start":`) && s.number(&r.Member.Start) &&
			s.next(`,"device":`) && s.text(&r.Member.Device)
		r.Member.Remember = s.next(`,"remember":true`)
		ok = ok && s.next(`}`)
	}
	if ok && s.next(`,"values":{`) {
		r.Values = make(map[string]string)
		for more := true; ok && more; more = s.next(`,`) {
			var key, value string
			ok = s.text(&key) && s.next(`:`) && s.text(&value)
			r.Values[key] = value
		}
		ok = ok && s.next(`}`)
	}
	return r, ok && s.rest == `}`
}

// written is what of a record has not been read yet. Its methods report whether
// it begins with what is asked for, and read past that.
type written struct{ rest string }

func (s *written) next(literal string) (ok bool) {
	s.rest, ok = strings.CutPrefix(s.rest, literal)
	return ok
}

// number reads an integer without a sign, of at most 18 digits: int64 holds it.
func (s *written) number(n *int64) bool {
	digits := 0
	for digits < len(s.rest) && digits < 18 && '0' <= s.rest[digits] && s.rest[digits] <= '9' {
		*n = *n*10 + int64(s.rest[digits]-'0')
		digits++
	}
	ok := digits == 1 || digits > 1 && s.rest[0] != '0'
	s.rest = s.rest[digits:]
	return ok
}

func (s *written) text(t *string) bool {
	if !s.next(`"`) {
		return false
	}
	for i := range len(s.rest) {
		switch c := s.rest[i]; {
		case c == '"':
			*t, s.rest = s.rest[:i], s.rest[i+1:]
			return utf8.ValidString(*t)
		case c == '\\' || c < ' ':
			return false
		}
	}
	return false
}
