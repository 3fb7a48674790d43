package pages

import (
	"holdfast/web"
	"strings"
	"time"
)

func yes(holds bool, then, otherwise string) string {
	if holds {
		return then
	}
	return otherwise
}

// span writes a limit: "24 hours".
func span(d time.Duration) string { return strings.TrimPrefix(web.Distance(d), "in ") }

func capital(words string) string { return strings.ToUpper(words[:1]) + words[1:] }
