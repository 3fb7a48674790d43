package web

import "unicode/utf8"

// FlowDiagram is one request from the browser to the store and back, as the
// partial "way" draws it.
type FlowDiagram struct {
	Greeting                  string // what the browser shows
	Size                      string // of the letters in which Greeting fits there: "big", "mid" or "fine"
	Store, Record             string // where sessions are kept, and what is kept there
	Inside, OnDisk            bool   // whether the store is in the server's process, and its data on disk
	Cookie, Key, Answer, Page FlowArrow
	Linked                    bool // whether arrows link to the steps below
}

// FlowArrow is one arrow. It has no value if the request did not get that far.
type FlowArrow struct {
	Value  string
	Linked bool
	Empty  bool // whether nothing was sent
}

// Flow returns the part of the diagram that is the same for every request, with a
// greeting for name, or for a guest if name is "".
func (s *Site) Flow(name string) FlowDiagram {
	d := FlowDiagram{Greeting: "Hello, guest", Size: "big", Inside: s.Embedded || s.InMemory(), OnDisk: s.Embedded}
	if d.Store, _ = storeWords(s.SessionStore); s.Embedded {
		d.Store = "embedded Redis"
	}
	if name != "" {
		d.Greeting = "Hello, " + name + "!"
		switch n := utf8.RuneCountInString(d.Greeting); {
		case n > maxMidRunes:
			d.Size = "fine"
		case n > maxLineRunes:
			d.Size = "mid"
		}
	}
	return d
}

// flowOf returns the diagram for a member with this name, token and key.
func (s *Site) flowOf(name, token, key string) FlowDiagram {
	d := s.Flow(name)
	d.Record = fitting("name: "+name, "with your name")
	d.Cookie.Value, d.Key.Value = Ends(token), Ends(key)
	d.Answer.Value, d.Page.Value = d.Record, fitting(d.Greeting, "your greeting")
	return d
}

// Ends shortens a token or key to 8 of its 43 characters, to fit in the diagram.
func Ends(text string) string { return text[:4] + "…" + text[len(text)-4:] }

// maxLineRunes is what fits on an arrow, or in the drawn browser in big letters.
// maxMidRunes is what fits there in medium letters.
const (
	maxLineRunes = 16
	maxMidRunes  = 36
)

// fitting returns words if they fit on an arrow, and otherwise others.
func fitting(words, others string) string {
	if utf8.RuneCountInString(words) <= maxLineRunes {
		return words
	}
	return others
}
