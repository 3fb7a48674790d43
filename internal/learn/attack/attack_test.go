package attack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"holdfast/internal/text"
	"holdfast/internal/visitor"
)

// weak returns a server that makes every mistake the attacks look for: a login keeps
// the token that was sent, a logout revokes nothing, the origin of a request is not
// checked, and any cookie counts as logged in.
func weak(t *testing.T) *target {
	t.Helper()
	mux := http.NewServeMux()
	token := func(w http.ResponseWriter, r *http.Request) {
		if _, err := r.Cookie("session"); err != nil {
			http.SetCookie(w, &http.Cookie{Name: "session", Value: text.NewToken()})
		}
	}
	to := func(path string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			token(w, r)
			http.Redirect(w, r, path, http.StatusSeeOther)
		}
	}
	mux.HandleFunc("POST /login", to("/profile"))
	mux.HandleFunc("POST /logout", to("/login"))
	mux.HandleFunc("POST /session", to("/session"))
	mux.HandleFunc("GET /session", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"forged":"yes"}`) })
	mux.HandleFunc("GET /profile", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<h1>Hello, Throwaway!</h1>") })
	mux.HandleFunc("POST "+SlowPath, func(w http.ResponseWriter, r *http.Request) {
		if Wait(r.Context(), r.PostFormValue("wait")) == nil {
			w.WriteHeader(http.StatusNoContent)
		}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return newTarget(server.URL, "", "session", victim{email: "a@b.invalid", password: "limpets 41 under wet basalt"})
}

func TestEveryAttackSucceedsWhereItCan(t *testing.T) {
	for _, a := range all() {
		if a.try == nil {
			continue
		}
		t.Run(a.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			site := weak(t)
			site.falls = "it falls"
			trial := site.trial(a.try(ctx, site))
			if trial.Outcome != Succeeded || trial.Why != site.falls || trial.Facts == "" {
				t.Errorf("on a weak server: %+v", trial)
			}
			if trial.Sent < len(trial.Exchanges) || len(trial.Exchanges) == 0 || len(trial.Exchanges) > maxShown {
				t.Errorf("%d requests, %d shown", trial.Sent, len(trial.Exchanges))
			}
			for _, e := range trial.Exchanges {
				for _, secret := range append(site.tokens, site.victim.password) {
					if strings.Contains(e.Request+e.Answer, secret) {
						t.Errorf("shows a secret: %+v", e)
					}
				}
			}
		})
	}
}

func TestAnOutageSucceedsWhereARequestHangs(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		won    bool
	}{
		"says that it cannot tell":        {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, false},
		"mistakes silence for no session": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusSeeOther) }, true},
		"clears the cookie": {func(w http.ResponseWriter, _ *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "session", MaxAge: -1})
			w.WriteHeader(http.StatusServiceUnavailable)
		}, true},
		"hangs": {func(_ http.ResponseWriter, r *http.Request) { _ = pause(r.Context(), patience+100*time.Millisecond) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			over := make(chan struct{})
			asked := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if asked++; asked == 1 {
					c.answer(w, r)
					close(over)
				}
			}))
			t.Cleanup(server.Close)
			site := newTarget(server.URL, "", "session", victim{})
			won, facts := site.through(t.Context(), text.NewToken(), over)
			if err := site.failed(); err != nil || won != c.won {
				t.Errorf("won %t, want %t: %s %v", won, c.won, facts, err)
			}
		})
	}
}

func TestAnOutageSaysHowLongRequestsWaited(t *testing.T) {
	for want, w := range map[string]waited{
		"7 requests got 503 within 0.5 s; 1 request was still waiting when Redis came back and got 200 after 0.4 s": {
			503: append(make([]time.Duration, 6), 460*time.Millisecond), 200: {380 * time.Millisecond},
		},
		"2 requests were still waiting when Redis came back and got 200 after 5.0 s": {200: {time.Second, 5 * time.Second}},
		"1 request got 303 within 0.0 s":                                             {303: {time.Millisecond}},
	} {
		if got := w.words(); got != want {
			t.Errorf("%v: %q, want %q", w, got, want)
		}
	}
}

func TestAnAttackThatCannotEndIsUndecided(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	address := server.URL
	for _, a := range all() {
		if a.try == nil {
			continue
		}
		site := newTarget(address, "", "session", victim{})
		trial := site.trial(a.try(t.Context(), site))
		if trial.Outcome != Undecided || trial.Why == "" {
			t.Errorf("%s on a server without its store: %+v", a.Name, trial)
		}
	}
	server.Close()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, ctx := range []context.Context{t.Context(), gone} {
		site := newTarget(address, "", "session", victim{})
		trial := site.trial(replay(ctx, site))
		if trial.Outcome != Undecided || strings.Contains(trial.Why, "127.0.0.1") {
			t.Errorf("on no server: %+v", trial)
		}
	}
}

func TestAnAnswerIsReadAndShownUpToALimit(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "other", Value: "not of interest"})
		fmt.Fprint(w, text.NewToken(), strings.Repeat("é", visitor.MaxBody))
	}))
	t.Cleanup(server.Close)
	site := newTarget(server.URL, "", "session", victim{})
	for range maxShown + 3 {
		a := site.get(t.Context(), "Look.", "/", "")
		if err := site.failed(); err != nil || len(a.Body) != visitor.MaxBody || a.touched {
			t.Fatalf("%d bytes, cookie touched %t, %v", len(a.Body), a.touched, err)
		}
	}
	sent, shown := site.sent, site.shown
	if sent != maxShown+3 || len(shown) != maxShown {
		t.Errorf("%d sent, %d shown", sent, len(shown))
	}
	if got := len([]rune(shown[0].Answer)); got > maxLine+len("200 OK")+60 || tokenIn(shown[0].Answer) {
		t.Errorf("%d characters shown: %s", got, shown[0].Answer)
	}
}

// tokenIn reports whether a line of text begins with a complete token.
func tokenIn(text string) bool {
	for line := range strings.Lines(text) {
		if len(line) >= 43 && !strings.ContainsAny(line[:43], "… \n:") {
			return true
		}
	}
	return false
}

func TestTheArithmeticOfGuessing(t *testing.T) {
	// 2^255 / 10^6 people / 1000 a second / 3.16e7 seconds a year = 1.8e60
	if got := yearsExponent(1000); got != 60 {
		t.Errorf("10^%d years, want 10^60", got)
	}
}

func TestUnknownAttacksAreNotMade(t *testing.T) {
	r := New(Config{})
	if err := r.Run(t.Context(), "none"); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
	if r.Latest("none") != nil {
		t.Error("there is a report of it")
	}
}
