package session

import (
	"context"
	"errors"
)

// Two reasons that only a request with the expired session can determine; the device
// store records both as RevokedByTime.
const (
	RevokedByIdleness RevokeReason = "idle"
	RevokedByAge      RevokeReason = "age"
)

// WhyEnded reports whether this request's token belongs to a person's session that has
// ended, and why, "" if that is unknown. It queries the device store by the hash of
// the token, so only the holder of the token learns the reason; the result does not
// distinguish an unknown token from that of a guest's session. Errors: the device
// store's.
func (s *Session) WhyEnded(ctx context.Context) (why RevokeReason, over bool, err error) {
	switch s.reason {
	case Idle:
		return RevokedByIdleness, true, nil
	case TooOld:
		return RevokedByAge, true, nil
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
	case device.RevokeReason != "":
		return device.RevokeReason, true, nil
	case !now.Before(device.ExpiresAt):
		return RevokedByAge, true, nil
	case !device.Remembered && !now.Before(device.CreatedAt.Add(s.manager.limits.Idle)):
		// A store drops an idle session automatically. That cannot be distinguished
		// from a store that has lost it.
		return RevokedByIdleness, true, nil
	}
	return "", true, nil
}
