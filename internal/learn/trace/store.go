package trace

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"holdfast/internal/session/store"
)

// maxShownArgs is how many arguments of a command are shown one by one.
const maxShownArgs = 6

// operation returns op as a step. Its text shows only the number of stored bytes.
func (r *Recorder) operation(op store.Operation) Operation {
	words := []string{op.Name}
	for i, arg := range op.Args {
		if i == maxShownArgs {
			words = append(words, fmt.Sprintf("… and %d more", len(op.Args)-i))
			break
		}
		words = append(words, argument(arg))
	}
	step := Operation{
		Store: op.Store, Text: strings.Join(words, " "), Cause: Cause(op.Err),
		Found: op.Value != nil, Size: len(op.Value),
	}
	if op.Value != nil && r.closely {
		step.Bytes = []byte(Hide(string(bytes.ToValidUTF8(op.Value, []byte("?")))))
	}
	return step
}

func argument(arg any) string {
	value, stored := arg.([]byte)
	switch {
	case !stored:
		return fmt.Sprint(arg)
	case value == nil:
		return "‹nothing›"
	default:
		return "‹" + strconv.Itoa(len(value)) + " bytes›"
	}
}

// Connections records what was done on the last new connection to Redis before
// anything was read over it, for the requests that waited for it: all requests share
// one connection, so those are all that were in progress. The zero value is ready to
// use.
type Connections struct{ latest atomic.Pointer[checked] }

type checked struct {
	until time.Time
	steps []Step
}

// Connecting is for the field of the same name in [store.Config].
func (all *Connections) Connecting(ctx context.Context) (watched context.Context, done func(error)) {
	rec, began := New(false), time.Now()
	return rec.Watch(ctx, nil), func(err error) {
		rec.Timed(1, began, Connection{Cause(err)})
		all.latest.Store(&checked{time.Now(), rec.Attempt()})
	}
}

// adopt adds those steps to r if its operation began before they ended.
func (all *Connections) adopt(r *Recorder, began time.Time) {
	if all == nil {
		return
	}
	if latest := all.latest.Load(); latest != nil && began.Before(latest.until) {
		for _, s := range latest.steps {
			r.add(s)
		}
	}
}
