package web

import (
	"unicode/utf8"

	"holdfast/internal/learn/trace"
	"holdfast/internal/session"
	"holdfast/internal/session/store"
)

// wayDrawing is one request from the browser to the store and back, as the
// partial "way" draws it.
type wayDrawing struct {
	Words                     string // the drawing for those who do not see it
	Greeting                  string // what the browser shows
	Keeps                     string // what the server keeps itself
	Store, Record             string // where sessions are kept, and what is kept there
	Cookie, Key, Answer, Page wayPart
	Linked                    bool // parts lead to the steps below
}

// wayPart is one arrow. Without a value that part of the way was not gone.
type wayPart struct {
	Value  string
	Linked bool
	Empty  bool // it was gone with nothing to carry
}

const wayWords = "A browser sends a cookie to the server. The server makes a key of it and asks the store. " +
	"The store answers with a record. The server answers with a page that greets by name."

// newWay is the part of the drawing that is the same for everybody.
func (s *Site) newWay() wayDrawing {
	d := wayDrawing{Words: wayWords, Keeps: "keeps nothing itself", Store: storeLabel(s.SessionStore)}
	if s.inMemory() {
		d.Keeps = "keeps sessions itself"
	}
	return d
}

// wayOf draws the way for somebody with this name, token and key.
func (s *Site) wayOf(name, token, key string) wayDrawing {
	d := s.newWay()
	d.Greeting, d.Record = greeting(name), shorten("name: "+name)
	d.Cookie.Value, d.Key.Value = trace.Mask(token).String(), shortKey(key)
	d.Answer.Value, d.Page.Value = d.Record, d.Greeting
	return d
}

// sampleWay is the way of somebody who is not there.
func (s *Site) sampleWay() wayDrawing {
	const token = "qUdM0000000000000000000000000000000000000hYsf"
	return s.wayOf("Ada", token, session.Key(token))
}

// shortKey is what the drawing has room for.
func shortKey(key string) string { return key[:4] + "…" + key[len(key)-4:] }

// maxGreetingRunes is what fits into the drawn browser.
const maxGreetingRunes = 16

func greeting(name string) string {
	return shorten("Hello, " + name + "!")
}

func shorten(words string) string {
	if utf8.RuneCountInString(words) <= maxGreetingRunes {
		return words
	}
	return string([]rune(words)[:maxGreetingRunes-1]) + "…"
}

// storeLabel is a kind of store in a word or two.
func storeLabel(kind string) string {
	switch kind {
	case store.KindMemory:
		return "memory"
	case store.KindFile:
		return "file"
	case store.KindDatabase:
		return "database"
	default:
		return "Redis"
	}
}
