package session

import (
	"context"
	"errors"
	"strings"
	"time"
)

// MaxLive is how many live sessions one person can have. One more log-in ends
// the oldest (the number is GitLab's; ASVS 5.0 7.1.2 asks that there be one).
const MaxLive = 100

// ErrNoDevice: this person has no such session, now or in the past.
var ErrNoDevice = errors.New("no such session of this person")

// Ending says how a session ended.
type Ending string

// The ways a session ends. The words are stored, so they do not change.
const (
	EndedByLogOut   Ending = "log-out"  // on the device itself
	EndedByOwner    Ending = "owner"    // from another device
	EndedByOperator Ending = "operator" // by a command
	EndedByDisable  Ending = "disabled" // the person may not log in any more
	EndedByLimit    Ending = "limit"    // the oldest of more than MaxLive
	EndedByLogIn    Ending = "log-in"   // a new log-in in the same browser
	EndedByRenewal  Ending = "renewal"  // goes on under a new token
	EndedByTime     Ending = "expired"  // idle too long, or too old
)

// Entry is one log-in as the ledger keeps it.
type Entry struct {
	ID         string
	Person     string // account.Person.ID
	Key        string // the store's name for the session: the hash of its token
	UserAgent  string
	Address    string
	Remembered bool
	Created    time.Time
	Deadline   time.Time
	Ended      time.Time // zero while the session may be live
	How        Ending    // "" while the session may be live
}

// A renewal's id is that of its log-in, a dot, and more: whoever ends a session
// ends what it became, too.
func renewalID(of string) string {
	logIn, _, _ := strings.Cut(of, ".")
	return logIn + "." + newID()
}

// sameLogIn reports whether two ids are of one log-in and its renewals.
func sameLogIn(a, b string) bool {
	a, _, _ = strings.Cut(a, ".")
	b, _, _ = strings.Cut(b, ".")
	return a == b
}

// Ledger is where every log-in is written down, in the people's database: to
// list a person's sessions without searching the store, and to end sessions
// again that a restored store has brought back. A row proves nothing alone:
// only the store says that a session lives.
type Ledger interface {
	// Open writes a log-in down before its session is stored. It returns
	// ErrEnded when the person may not log in (any more), decided in one step
	// with the writing.
	Open(ctx context.Context, e Entry) error
	// Standing reports whether an entry is there and not ended.
	Standing(ctx context.Context, id string) (bool, error)
	// Find returns one entry of a person, ended or not, or ErrNoDevice.
	Find(ctx context.Context, person, id string) (Entry, error)
	// ByKey returns the entry with this key, ended or not, or ErrNoDevice.
	ByKey(ctx context.Context, key string) (Entry, error)
	// Live returns at most limit entries of a person that have neither ended
	// nor passed their deadline at now, newest first. Person "" means everybody.
	Live(ctx context.Context, person string, now time.Time, limit int) ([]Entry, error)
	// Past returns ended entries of a person, latest first, without those that
	// were renewed.
	Past(ctx context.Context, person string, offset, limit int) ([]Entry, error)
	// End marks those of the entries that have not ended yet.
	End(ctx context.Context, ids []string, how Ending, at time.Time) error
	// EndedSince returns the keys of entries that ended at since or later and
	// whose deadline has not passed at now.
	EndedSince(ctx context.Context, since, now time.Time) ([]string, error)
	// Forget removes entries that ended before a time.
	Forget(ctx context.Context, before time.Time) error
}
