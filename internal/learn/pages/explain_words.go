package pages

import (
	"strings"
	"time"

	"holdfast/internal/session/store"
	"holdfast/web"
)

func yes(holds bool, then, otherwise string) string {
	if holds {
		return then
	}
	return otherwise
}

// every formats an interval after "every": "minute", "30 seconds".
func every(d time.Duration) string { return strings.TrimPrefix(web.Lasting(d), "1 ") }

// storeName returns the name of a store inside a sentence.
func storeName(name string) string {
	if name == store.KindEmbedded {
		return "the " + name
	}
	return name
}
