package web

import (
	"unicode/utf8"

	"holdfast/internal/session/store"
)

// wayDrawing is one request from the browser to the store and back, as the
// partial "way" draws it.
type wayDrawing struct {
	Words                     string // the drawing for those who do not see it
	Greeting                  string // what the browser shows
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

// sampleWay draws the way for a page that tells of it in general.
func (s *Site) sampleWay() wayDrawing {
	return wayDrawing{
		Words: wayWords, Greeting: greeting("Ada"), Store: storeLabel(s.SessionStore), Record: "name: Ada",
		Cookie: wayPart{Value: "qUdM…hYsf"}, Key: wayPart{Value: "8BMV…JvWw"},
		Answer: wayPart{Value: "name: Ada"}, Page: wayPart{Value: greeting("Ada")},
	}
}

// maxGreetingRunes is what fits into the drawn browser.
const maxGreetingRunes = 16

func greeting(name string) string {
	words := "Hello, " + name + "!"
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
