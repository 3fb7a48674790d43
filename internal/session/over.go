package session

import (
	"context"
	"errors"
)

// Two reasons that only the request finds which comes too late; the device store
// has both as EndedByTime.
const (
	EndedByIdleness EndReason = "idle"
	EndedByAge      EndReason = "age"
)

// Over reports whether this request came with the token of a person's session
// that has ended, and why that was where it is known: "" where it is not. It
// asks the device store by the hash of the token, so only whoever holds the
// token learns of it; a token that never was one is not told from one whose
// session belonged to nobody. Errors: as the device store's.
func (s *Session) Over(ctx context.Context) (why EndReason, over bool, err error) {
	switch s.reason {
	case Idle:
		return EndedByIdleness, true, nil
	case TooOld:
		return EndedByAge, true, nil
	case NotFound:
	default:
		return "", false, nil
	}
	device, err := s.manager.devices.FindByKey(ctx, Key(s.token))
	if errors.Is(err, ErrNoDevice) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	now := s.manager.now()
	switch {
	case device.EndReason != "":
		return device.EndReason, true, nil
	case !now.Before(device.ExpiresAt):
		return EndedByAge, true, nil
	case !device.Remembered && !now.Before(device.CreatedAt.Add(s.manager.limits.Idle)):
		// A store drops an idle session by itself. One that has lost it within that
		// time cannot be told from it.
		return EndedByIdleness, true, nil
	}
	return "", true, nil
}
