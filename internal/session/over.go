package session

import (
	"context"
	"errors"

	"holdfast/internal/learn/trace"
)

// Two ways to end that only the request finds which comes too late; the ledger
// has both as EndedByTime.
const (
	EndedByIdleness Ending = "idle"
	EndedByAge      Ending = "age"
)

// Over reports whether this request came with the token of a session that has
// ended, and how that was where it is known: "" where it is not. It asks the
// ledger, by the hash of the token, so only whoever holds the token learns of
// it; a token that never was one, or whose session belonged to nobody, is not
// told from one that was never made. Errors: as the ledger's.
func (s *Session) Over(ctx context.Context) (how Ending, over bool, err error) {
	switch s.nobody {
	case trace.Idle:
		return EndedByIdleness, true, nil
	case trace.TooOld:
		return EndedByAge, true, nil
	case trace.NotFound:
	default:
		return "", false, nil
	}
	entry, err := s.manager.ledger.ByKey(ctx, hashToken(s.sent))
	if errors.Is(err, ErrNoDevice) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	if entry.How == "" && !s.manager.now().Before(entry.Deadline) {
		return EndedByAge, true, nil
	}
	return entry.How, true, nil
}
