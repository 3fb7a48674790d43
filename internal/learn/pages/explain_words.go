package pages

import (
	"net/http"
	"strings"
	"time"

	"holdfast/internal/session/store"
	"holdfast/web"
)

// meaning tells what a field of the record is for.
func meaning(path string) string {
	switch path {
	case "v":
		return "version of the layout"
	case "created":
		return "when this session began, in milliseconds since 1970"
	case "seen":
		return "last visit that was noted"
	case "ends":
		return "ends at the latest"
	case "member.id":
		return "whose it is"
	case "member.name":
		return "what the greeting says"
	case "member.start":
		return "how many times the server had started when you logged in"
	case "member.device":
		return "its entry on the Devices page; not a secret"
	case "member.remember":
		return "you asked to be kept logged in"
	case "notices":
		return "a message for the next page"
	default:
		return "a value stored at /session"
	}
}

func yes(holds bool, then, otherwise string) string {
	if holds {
		return then
	}
	return otherwise
}

// span writes a limit: "24 hours".
func span(d time.Duration) string { return strings.TrimPrefix(web.Distance(d), "in ") }

// storeName is what sentences call a store.
func storeName(kind string) string {
	switch kind {
	case store.KindMemory:
		return "the server’s own memory"
	case store.KindFile:
		return "the file of sessions"
	case store.KindDatabase:
		return "the table of sessions"
	default:
		return kind
	}
}

func capital(words string) string { return strings.ToUpper(words[:1]) + words[1:] }

// sameSiteWords writes the attribute as it stands in the header.
func sameSiteWords(mode http.SameSite) string {
	switch mode {
	case http.SameSiteStrictMode:
		return "SameSite=Strict"
	case http.SameSiteNoneMode:
		return "SameSite=None"
	default:
		return "SameSite=Lax"
	}
}
