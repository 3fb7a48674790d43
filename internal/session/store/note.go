package store

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"holdfast/internal/learn/trace"
)

// What this package notes for a request that is watched: see package trace.
// For any other request it costs one look into the context.

// watched reports whether anything is noted: what a page view would note is not
// even put together when it is not.
func watched(ctx context.Context) bool { return trace.From(ctx) != nil }

func noteRead(ctx context.Context, store string, began time.Time, text string, value []byte, err error) {
	if rec := trace.From(ctx); rec != nil {
		rec.TimedOutside(1, began, read(rec, store, text, value, err))
	}
}

func noteWrite(ctx context.Context, store string, began time.Time, text string, err error) {
	if rec := trace.From(ctx); rec != nil {
		rec.TimedOutside(1, began, trace.Operation{Store: store, Text: text, Cause: trace.Cause(err)})
	}
}

// maxShownArgs is how many arguments of a command are told one by one.
const maxShownArgs = 6

// noteCommand notes what was sent to Redis. Stored bytes are told by their
// number; those that a GET has found are kept.
func noteCommand(ctx context.Context, store string, began time.Time, reply any, err error, name string, args ...any) {
	rec := trace.From(ctx)
	if rec == nil {
		return
	}
	words := []string{name}
	for i, arg := range args {
		if i == maxShownArgs {
			words = append(words, fmt.Sprintf("… and %d more", len(args)-i))
			break
		}
		words = append(words, argument(arg))
	}
	op := trace.Operation{Store: store, Text: strings.Join(words, " "), Cause: trace.Cause(err)}
	if name == "GET" {
		value, _ := reply.([]byte)
		op = read(rec, store, op.Text, value, err)
	}
	rec.TimedOutside(1, began, op)
}

func argument(arg any) string {
	if value, ok := arg.([]byte); ok {
		return size(value)
	}
	return fmt.Sprint(arg)
}

func size(value []byte) string {
	if value == nil {
		return "‹nothing›"
	}
	return "‹" + strconv.Itoa(len(value)) + " bytes›"
}

func read(rec *trace.Recorder, store, text string, value []byte, err error) trace.Operation {
	op := trace.Operation{Store: store, Text: text, Found: value != nil, Size: len(value), Cause: trace.Cause(err)}
	if value != nil && rec.Closely() {
		op.Bytes = []byte(trace.Hide(string(bytes.ToValidUTF8(value, []byte("?")))))
	}
	return op
}
