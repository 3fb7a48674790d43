package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gomodule/redigo/redis"
)

// maxIdleHandles is how many handles the pool keeps; another one costs two
// allocations.
const maxIdleHandles = 64

var (
	_ redis.ConnWithTimeout = handle{}
	_ redis.ConnWithContext = handle{}
)

var errSend = fmt.Errorf("Send, Flush and Receive on a shared connection: %w", errors.ErrUnsupported)

// handle is a connection of Client.Pool. Do and DoContext are the client's.
type handle struct{ *Client }

// DoWithTimeout implements [redis.ConnWithTimeout]. Only a timeout shorter than
// the client's own has an effect; 0 means the client's own.
func (h handle) DoWithTimeout(timeout time.Duration, cmd string, args ...any) (any, error) {
	if timeout == 0 {
		return h.Do(cmd, args...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return h.DoContext(ctx, cmd, args...)
}

func (h handle) Err() error   { return nil }
func (h handle) Close() error { return nil }

func (h handle) Send(string, ...any) error                     { return errSend }
func (h handle) Flush() error                                  { return errSend }
func (h handle) Receive() (any, error)                         { return nil, errSend }
func (h handle) ReceiveWithTimeout(time.Duration) (any, error) { return nil, errSend }
func (h handle) ReceiveContext(context.Context) (any, error)   { return nil, errSend }
