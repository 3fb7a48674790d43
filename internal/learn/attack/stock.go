package attack

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/alexedwards/scs/redisstore"
	"github.com/alexedwards/scs/v2"
	"github.com/gomodule/redigo/redis"

	"holdfast/internal/session"
)

const (
	stockCookie = "session" // scs's default
	// stockLifetime has what a killed server leaves behind go away by itself.
	stockLifetime = time.Minute
)

// stock is a log-in as the manuals of scs and redisstore show it, on the Redis
// of this server under keys of its own: LoadAndSave around the handlers,
// RenewToken at log-in, Destroy at log-out, the pool of the example. It checks
// no password; that is not what is attacked.
type stock struct {
	url      string
	server   *http.Server
	sessions *scs.SessionManager
	pool     *redis.Pool
	dial     func(context.Context, ...redis.DialOption) (redis.Conn, error)
	keys     *keyNotes
	password string // the one that logs in
}

// keyNotes is the store of scs, and which keys went to it.
type keyNotes struct {
	scs.Store
	prefix string

	mu    sync.Mutex
	known map[string]bool
}

// Commit implements [scs.Store].
func (k *keyNotes) Commit(token string, b []byte, expiry time.Time) error {
	k.mu.Lock()
	k.known[k.prefix+token] = true
	k.mu.Unlock()
	return k.Store.Commit(token, b, expiry)
}

// startStock serves it on a free port of the loopback interface. Errors:
// session.ErrNoRedis.
func startStock(ctx context.Context, sessions *session.Manager, password string) (*stock, error) {
	if !sessions.OnRedis() {
		return nil, session.ErrNoRedis
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the stock set-up: %w", err)
	}
	s := &stock{url: "http://" + listener.Addr().String(), sessions: scs.New(), dial: sessions.DialRedis, password: password}
	s.pool = &redis.Pool{
		MaxIdle: 10,
		Dial:    func() (redis.Conn, error) { return s.dial(context.Background()) },
	}
	prefix := "holdfast:lab:" + rand.Text() + ":"
	s.keys = &keyNotes{Store: redisstore.NewWithPrefix(s.pool, prefix), prefix: prefix, known: map[string]bool{}}
	s.sessions.Store = s.keys
	s.sessions.Lifetime = stockLifetime
	// As the default does, without its line in a log that is not ours.
	s.sessions.ErrorFunc = func(w http.ResponseWriter, _ *http.Request, _ error) {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
	}
	s.server = &http.Server{
		Handler:           s.sessions.LoadAndSave(s.mux()),
		ReadHeaderTimeout: time.Second,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	go func() { _ = s.server.Serve(listener) }() // ends with the server
	return s, nil
}

func (s *stock) mux() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", s.logIn)
	mux.HandleFunc("POST /logout", s.logOut)
	mux.HandleFunc("GET /profile", s.profile)
	mux.HandleFunc("POST /session", s.put)
	mux.HandleFunc("GET /session", s.show)
	mux.HandleFunc("POST "+SlowPath, s.slow)
	return mux
}

func (s *stock) logIn(w http.ResponseWriter, r *http.Request) {
	if r.PostFormValue("password") != s.password {
		http.Error(w, "That e-mail and password do not match.", http.StatusUnprocessableEntity)
		return
	}
	if err := s.sessions.RenewToken(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	s.sessions.Put(r.Context(), "name", "Throw-away")
	http.Redirect(w, r, "/profile", http.StatusSeeOther)
}

func (s *stock) logOut(w http.ResponseWriter, r *http.Request) {
	if err := s.sessions.Destroy(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

func (s *stock) profile(w http.ResponseWriter, r *http.Request) {
	name := s.sessions.GetString(r.Context(), "name")
	if name == "" {
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return
	}
	_, _ = io.WriteString(w, "Hello, "+name+"!")
}

func (s *stock) put(w http.ResponseWriter, r *http.Request) {
	s.sessions.Put(r.Context(), r.PostFormValue("key"), r.PostFormValue("value"))
	http.Redirect(w, r, "/session", http.StatusSeeOther)
}

func (s *stock) show(w http.ResponseWriter, r *http.Request) {
	values := map[string]string{}
	for _, key := range s.sessions.Keys(r.Context()) {
		values[key] = s.sessions.GetString(r.Context(), key)
	}
	_ = json.NewEncoder(w).Encode(values)
}

// slow does what the route of that path does in Holdfast.
func (s *stock) slow(w http.ResponseWriter, r *http.Request) {
	if s.sessions.GetString(r.Context(), "name") == "" {
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return
	}
	if Wait(r.Context(), r.PostFormValue("wait")) != nil {
		return
	}
	s.sessions.Put(r.Context(), "slow", "done")
	w.WriteHeader(http.StatusNoContent)
}

// Wait is the slowness of a slow request: as many milliseconds as text says, at
// most MaxSlow. It fails when ctx ends first.
func Wait(ctx context.Context, text string) error {
	wanted, err := strconv.Atoi(text)
	if err != nil || wanted < 0 {
		wanted = 0
	}
	return pause(ctx, min(time.Duration(wanted)*time.Millisecond, MaxSlow))
}

// clear stops the stock set-up and removes its keys.
func (r *Runner) clear(ctx context.Context, s *stock, t *target) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.tidyLimit())
	defer cancel()
	t.client.CloseIdleConnections()
	err := s.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.server.Close())
	}
	if err = errors.Join(err, s.forget(ctx), s.pool.Close()); err != nil {
		r.Log.WarnContext(ctx, "keys of the stock set-up not removed, they expire within a minute", "cause", err)
	}
}

func (s *stock) forget(ctx context.Context) error {
	const limit = 2 * time.Second
	conn, err := s.dial(ctx, redis.DialConnectTimeout(limit), redis.DialReadTimeout(limit), redis.DialWriteTimeout(limit))
	if err != nil {
		return err
	}
	defer conn.Close()
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	for key := range s.keys.known {
		if _, err := redis.DoContext(conn, ctx, "DEL", key); err != nil {
			return err
		}
	}
	return nil
}
