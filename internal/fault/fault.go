// Package fault owns the failures that are the same whatever is stored: the
// database cannot be reached, whether it made a change is not known, and what was
// asked for is not in it. Package
// database gives them these names, web answers 503 and 404. A package whose
// store has failures of its own names those itself.
package fault

import "errors"

var (
	// ErrUnavailable says that the database could not be reached, or not in
	// time. The cause is wrapped for the log.
	ErrUnavailable = errors.New("database cannot be reached")
	// ErrOutcomeUnknown comes with ErrUnavailable when the database did not answer
	// a change in time: it may have been made.
	ErrOutcomeUnknown = errors.New("the outcome of a change is unknown")
	// ErrNotFound says that there is no such row.
	ErrNotFound = errors.New("not found")
)
