package restartcheck

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Report is the result of a check, one row for each store that was tested.
type Report struct {
	Sessions int   `json:"sessions"` // created to measure what sessions cost
	Rows     []Row `json:"rows"`
}

// Row is the results for one store. A greeting is the heading of the profile page;
// "" means that the server asked for a login.
type Row struct {
	Store        string `json:"store"`
	Before       string `json:"before"`
	AfterRestart string `json:"afterRestart"`
	AfterKill    string `json:"afterKill"`
	Shared       bool   `json:"shared"`            // a second server recognised the same cookie
	Refusal      string `json:"refusal,omitempty"` // why a second server did not start
	// Copies is nil in reports of earlier versions.
	Copies *Copies `json:"copies,omitempty"`
	// MemoryGrowth is by how many bytes the server's live heap grew while the
	// sessions of the report were created.
	MemoryGrowth int64 `json:"memoryGrowthBytes"`
	// MemoryNoise is how much of that may be the noise of the measurement.
	MemoryNoise int64 `json:"memoryNoiseBytes"`
	// SessionSize is how many bytes one session takes in its store; with the store
	// memory, in the server.
	SessionSize int64         `json:"sessionBytes"`
	Greeting    time.Duration `json:"greetingNanoseconds"` // median time of one page view
}

// Copies says whether a copy of the cookie still worked after its owner had logged out,
// and after they had set a new password.
type Copies struct {
	LogOut   bool `json:"workAfterLogout"`
	Password bool `json:"workAfterNewPassword"`
}

// KeptByRestart reports whether the session survived a graceful restart.
func (r Row) KeptByRestart() bool { return r.Before != "" && r.AfterRestart == r.Before }

// KeptByKill reports whether the session survived a killed server.
func (r Row) KeptByKill() bool { return r.Before != "" && r.AfterKill == r.Before }

// Verdict returns nil if every store worked as intended: with redis, file and database
// the session survived both, with memory neither. Otherwise the error names each store
// that did not, and each that was not tested.
func (r Report) Verdict() error {
	var wrong []error
	for _, store := range Stores() {
		i := slices.IndexFunc(r.Rows, func(row Row) bool { return row.Store == store })
		if i < 0 {
			wrong = append(wrong, fmt.Errorf("%s was not tested", store))
			continue
		}
		wrong = append(wrong, r.Rows[i].verdict())
	}
	return errors.Join(wrong...)
}

func (r Row) verdict() error {
	switch {
	case r.Before == "":
		return fmt.Errorf("%s: not logged in even before the restart", r.Store)
	case r.Store == "memory" && (r.AfterRestart != "" || r.AfterKill != ""):
		return errors.New("memory: the session unexpectedly survived")
	case r.Store == "memory":
		return nil
	case !r.KeptByRestart():
		return fmt.Errorf("%s: the session was lost on restart", r.Store)
	case !r.KeptByKill():
		return fmt.Errorf("%s: the session was lost on kill -9", r.Store)
	}
	return nil
}

// A heap of a few megabytes never measures exactly the same twice. Growth counts
// from this many bytes per session, and is only reported if this many sessions were
// created.
const (
	grows  = 64
	enough = 2000
)

// growth returns by how many bytes the server's memory grew per session, 0 for none.
func (r Report) growth(row Row) int64 {
	each := row.MemoryGrowth / int64(max(r.Sessions, 1))
	if each < grows || row.MemoryGrowth < row.MemoryNoise {
		return 0
	}
	return each
}

// Sentence says what a row means for choosing a store.
func (r Report) Sentence(row Row) string {
	var parts []string
	switch {
	case row.KeptByRestart() && row.KeptByKill():
		parts = append(parts, "sessions survive a restart and a crash")
	case row.KeptByRestart():
		parts = append(parts, "sessions survive a restart but not a crash")
	case row.KeptByKill():
		parts = append(parts, "sessions survive a crash but not a restart")
	default:
		parts = append(parts, "everyone is logged out when the server restarts")
	}
	switch {
	case row.Shared:
		parts = append(parts, "a second server recognises the same cookie")
	case row.Refusal != "":
		parts = append(parts, "only one server at a time can use it")
	default:
		parts = append(parts, "a second server recognises no one")
	}
	if row.Copies != nil {
		parts = append(parts, row.Copies.sentence())
	}
	switch each := r.growth(row); {
	case r.Sessions < enough || row.Store == JWT: // which creates no sessions to measure
	case each > 0:
		parts = append(parts, fmt.Sprintf("server memory grows by %d bytes per session", each))
	default:
		parts = append(parts, "server memory does not grow with the number of sessions")
	}
	return row.Store + ": " + strings.Join(parts, "; ") + "."
}

func (c Copies) sentence() string {
	switch {
	case c.LogOut && c.Password:
		return "a copied cookie works until it expires, whatever its owner does"
	case c.LogOut:
		return "a copied cookie still works after logout"
	case c.Password:
		return "a copied cookie still works after a new password"
	default:
		return "a copied cookie stops working at logout and at a new password"
	}
}
