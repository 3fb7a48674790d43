// Package fault owns the failures that are the same whatever is stored: the
// database cannot be reached, the outcome of a write is unknown, and what was
// asked for is not there. Packages database and session/store return them; web
// answers 503 and 404. A package whose store has other failures names those
// itself.
package fault

import "errors"

var (
	// ErrUnavailable says that the database could not be reached, or not in
	// time. The cause is wrapped for the log.
	ErrUnavailable = errors.New("database unavailable")
	// ErrOutcomeUnknown says that a write was sent to a database or session store and
	// was not answered in time: it may have been made, or be made yet. A write that
	// fails without it was not made.
	ErrOutcomeUnknown = errors.New("outcome of the write is unknown")
	// ErrNotFound says that there is no such row.
	ErrNotFound = errors.New("not found")
)
