package web

import "context"

// Trace holds callbacks for a request whose context carries it, in the manner of
// [net/http/httptrace]. All of them are set.
type Trace struct {
	// GotCookie is called with the session cookie's value and the number of cookies
	// with that name. If count is not 1, value is "".
	GotCookie func(name, value string, count int)
	// Retried is called before the page is rendered again because a parallel request of
	// the same session came in between.
	Retried func()
	// SentCookies is called with the Set-Cookie headers of the response.
	SentCookies func(headers []string)
}

type traceKey struct{}

// WithTrace returns a context that carries t.
func WithTrace(ctx context.Context, t *Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

func traceOf(ctx context.Context) *Trace {
	t, _ := ctx.Value(traceKey{}).(*Trace)
	return t
}
