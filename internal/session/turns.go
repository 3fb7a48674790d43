package session

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/semaphore"
)

// turns are how requests of one process that change the same session keep out
// of each other's way: any number may make a first try at once, and one that
// clashed has the session to itself. Nobody waits longer than patience.
type turns struct {
	stripes  [stripeCount]*semaphore.Weighted
	seed     stripeSeed
	patience time.Duration
}

// everybody is the weight of a turn alone: more than ever try at once.
const everybody = 1 << 30

func newTurns(patience time.Duration) *turns {
	t := &turns{seed: newStripeSeed(), patience: patience}
	for i := range t.stripes {
		t.stripes[i] = semaphore.NewWeighted(everybody)
	}
	return t
}

// among waits for those who have key to themselves, if any.
func (t *turns) among(ctx context.Context, key string) (done func(), err error) {
	return t.take(ctx, key, 1)
}

// alone waits until nobody else of this process changes key.
func (t *turns) alone(ctx context.Context, key string) (done func(), err error) {
	return t.take(ctx, key, everybody)
}

func (t *turns) take(ctx context.Context, key string, weight int64) (done func(), err error) {
	stripe := t.stripes[t.seed.of(key)]
	if !stripe.TryAcquire(weight) {
		ctx, cancel := context.WithTimeout(ctx, t.patience)
		defer cancel()
		if err := stripe.Acquire(ctx, weight); err != nil {
			return nil, fmt.Errorf("%w: wait for a turn: %w", ErrUnavailable, err)
		}
	}
	return func() { stripe.Release(weight) }, nil
}
