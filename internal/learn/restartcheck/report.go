package restartcheck

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Report is what was found, one row for each store that was tried.
type Report struct {
	Sessions int   `json:"sessions"` // made to measure what sessions cost
	Rows     []Row `json:"rows"`
}

// Row is what was found about one store. A greeting is the heading of the
// page; "" means that the server asked to log in.
type Row struct {
	Store        string `json:"store"`
	Before       string `json:"before"`
	AfterRestart string `json:"afterRestart"`
	AfterKill    string `json:"afterKill"`
	Shared       bool   `json:"shared"`            // a second server greeted the same cookie
	Refusal      string `json:"refusal,omitempty"` // why a second server did not start
	// MemoryGrowth is what the server's live heap grew by while the sessions
	// of the report were made, in bytes.
	MemoryGrowth int64 `json:"memoryGrowthBytes"`
	// SessionSize is what one session takes in its store, in bytes; in the
	// server's memory, if that is the store.
	SessionSize int64         `json:"sessionBytes"`
	Greeting    time.Duration `json:"greetingNanoseconds"` // median of one page with a greeting
}

// KeptByRestart reports whether the session outlived a server stopped in good
// order.
func (r Row) KeptByRestart() bool { return r.Before != "" && r.AfterRestart == r.Before }

// KeptByKill reports whether the session outlived a killed server.
func (r Row) KeptByKill() bool { return r.Before != "" && r.AfterKill == r.Before }

// Verdict returns nil when every store did what it is for: redis, file and
// database kept the session through both, memory through neither. Otherwise
// the error names each store that did not, and each that was not tried.
func (r Report) Verdict() error {
	var wrong []error
	for _, store := range Stores() {
		row, tried := r.row(store)
		if !tried {
			wrong = append(wrong, fmt.Errorf("%s was not tried", store))
			continue
		}
		wrong = append(wrong, row.verdict())
	}
	return errors.Join(wrong...)
}

func (r Report) row(store string) (Row, bool) {
	for _, row := range r.Rows {
		if row.Store == store {
			return row, true
		}
	}
	return Row{}, false
}

func (r Row) verdict() error {
	switch {
	case r.Before == "":
		return fmt.Errorf("%s greeted nobody even before the restart", r.Store)
	case r.Store == "memory" && (r.AfterRestart != "" || r.AfterKill != ""):
		return errors.New("memory kept a session that it cannot keep")
	case r.Store == "memory":
		return nil
	case !r.KeptByRestart():
		return fmt.Errorf("%s lost the session at the restart", r.Store)
	case !r.KeptByKill():
		return fmt.Errorf("%s lost the session at the kill", r.Store)
	}
	return nil
}

// A heap of some megabytes is never quite the same twice. It can be said to
// grow with the sessions when it does so by this many bytes for each, and
// something can be said at all when this many were made.
const (
	grows  = 64
	enough = 2000
)

// Growth is by how many bytes the server's memory grew for each session, 0 for
// none; known is false where too few were created to say.
func (r Report) Growth(row Row) (each int64, known bool) {
	if each = row.MemoryGrowth / int64(max(r.Sessions, 1)); each < grows {
		each = 0
	}
	return each, r.Sessions >= enough
}

// Sentence says what a row means for the choice of a store.
func (r Report) Sentence(row Row) string {
	var parts []string
	switch {
	case row.KeptByRestart() && row.KeptByKill():
		parts = append(parts, "sessions outlive the server, stopped or killed")
	case row.KeptByRestart():
		parts = append(parts, "sessions outlive a restart but not a kill")
	case row.KeptByKill():
		parts = append(parts, "sessions outlive a kill but not a restart")
	default:
		parts = append(parts, "whoever was logged in is a stranger when the server starts again")
	}
	switch {
	case row.Shared:
		parts = append(parts, "a second server greets the same cookie")
	case row.Refusal != "":
		parts = append(parts, "one server at a time can use it")
	default:
		parts = append(parts, "a second server knows nobody")
	}
	switch each, known := r.Growth(row); {
	case !known:
	case each > 0:
		parts = append(parts, fmt.Sprintf("the server grows by %d bytes for each session", each))
	default:
		parts = append(parts, "the server does not grow with the number of sessions")
	}
	return row.Store + ": " + strings.Join(parts, "; ") + "."
}
