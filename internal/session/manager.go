package session

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/alexedwards/scs/v2"

	"holdfast/internal/learn/trace"
)

// tokenLength is the length of a token as scs makes it: 32 random bytes in
// unpadded base64url (256 bits; ASVS 5.0 7.2.3 asks 128).
const tokenLength = 43

// Manager recognises sessions and stores them. It is safe for concurrent use.
type Manager struct {
	scs    *scs.SessionManager
	guard  *guard
	ledger Ledger
	limits Limits
	start  int64
	now    func() time.Time
	log    *slog.Logger
	place  place
	shut   func() error
}

// newManager builds a Manager on cells. scs keeps the token, its hash and the
// deadline. Its IdleTimeout stays zero, because any other value makes it write
// on every page view; the idle limit is checked here instead.
func newManager(c cells, cfg Config, at place) *Manager {
	m := &Manager{
		scs:    scs.New(),
		ledger: cfg.Ledger,
		limits: cfg.Limits,
		start:  cfg.Start,
		now:    cfg.Now,
		log:    cfg.Log,
		place:  at,
		shut:   sync.OnceValue(c.close),
	}
	m.guard = &guard{cells: c, turns: newTurns(cfg.Pool.Timeout)}
	m.scs.Store = m.guard
	m.scs.Codec = codec{}
	m.scs.HashTokenInStore = true
	m.scs.Lifetime = cfg.Limits.Lifetime
	m.scs.Cookie.Name = CookieName(cfg.Secure)
	m.scs.Cookie.Secure = cfg.Secure
	m.scs.Cookie.HttpOnly = true
	m.scs.Cookie.SameSite = http.SameSiteLaxMode
	m.scs.Cookie.Path = "/"
	m.scs.Cookie.Persist = false
	return m
}

// CookieName is the session cookie's name. On https it has the __Host- prefix,
// with which a browser lets no other host set it (RFC 6265bis section 4.1.3.2).
func CookieName(secure bool) string {
	if secure {
		return "__Host-session"
	}
	return "session"
}

// CookieName returns the name of the cookie this Manager reads and writes.
func (m *Manager) CookieName() string { return m.scs.Cookie.Name }

// Where says in a few words where sessions are kept, without any secret.
func (m *Manager) Where() string { return m.place.words }

// Ping asks the store whether it answers. Errors: ErrUnavailable.
func (m *Manager) Ping(ctx context.Context) error {
	return unavailable(m.guard.cells.ping(ctx))
}

// Close lets go of the store. Closing twice is closing once.
func (m *Manager) Close() error { return m.shut() }

// Load finds the session behind token, the value of the session cookie. A
// token that is empty, ill-formed (no store is asked), unknown, expired or
// whose record cannot be read belongs to nobody: the Session returned is a
// guest's and costs nothing until something is put into it.
// Errors: ErrUnavailable; the sender may well be logged in.
func (m *Manager) Load(ctx context.Context, token string) (*Session, error) {
	s := &Session{manager: m, outer: ctx, sent: token, trace: trace.From(ctx)}
	sent := token
	if !wellFormed(token) {
		token = ""
	}
	s.noteForm(sent, token != "")
	v := &visit{trace: s.trace}
	loaded, err := m.scs.Load(context.WithValue(ctx, visitKey{}, v), token)
	if errors.Is(err, errUnreadable) {
		m.log.WarnContext(ctx, "stored session removed: it cannot be read", "cause", err)
		m.discard(ctx, token)
		s.noteNobody(trace.Unreadable)
		return m.guest(s)
	}
	if err != nil {
		return nil, fmt.Errorf("load session: %w", unavailable(err))
	}
	record, stored := m.scs.Get(loaded, recordKey).(Record)
	if !stored {
		s.noteNobody(whyNobody(sent, token))
		return m.guest(s)
	}
	now := m.now()
	live := m.limits.live(record, now)
	s.noteRecord(record, now, live)
	if !live {
		m.discard(ctx, token)
		s.noteNobody(m.limits.whyOver(record, now))
		return m.guest(s)
	}
	s.ctx, s.record, s.stored = loaded, record, true
	s.noteRecognised(v.key)
	return s, nil
}

// guest turns s into a session that stands nowhere yet.
func (m *Manager) guest(s *Session) (*Session, error) {
	now := m.now()
	s.record = Record{Created: now, Seen: now, Deadline: now.Add(m.limits.Lifetime)}
	return s, m.begin(s)
}

// begin gives s scs data of its own, with no token yet and nothing found.
func (m *Manager) begin(s *Session) error {
	ctx, err := m.scs.Load(context.WithValue(s.outer, visitKey{}, &visit{}), "")
	if err != nil {
		return fmt.Errorf("begin session: %w", err)
	}
	s.ctx = ctx
	return nil
}

// discard removes a record that belongs to nobody any more. Should it fail,
// the next request with that token tries again.
func (m *Manager) discard(ctx context.Context, token string) {
	if err := m.guard.cells.remove(ctx, hashToken(token)); err != nil {
		m.log.WarnContext(ctx, "stale session not removed", "cause", err)
	}
}

// wellFormed reports whether token could have been made by scs.
func wellFormed(token string) bool {
	if len(token) != tokenLength {
		return false
	}
	_, err := base64.RawURLEncoding.DecodeString(token)
	return err == nil
}

// hashToken is the name under which the store knows a token, the same that scs
// derives with HashTokenInStore: whoever reads the store cannot log in with it.
func hashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// newID returns 80 random bits as text, for things that are named but secret
// to nobody. It has letters and digits only: an operator types it after a flag,
// and a dash in front would look like another one.
func newID() string { return rand.Text()[:16] }

func isEnded(err error) bool { return errors.Is(err, ErrEnded) }

// unavailable gives a store's error its name; named ones pass as they are.
func unavailable(err error) error {
	if err == nil {
		return nil
	}
	for _, named := range []error{ErrUnavailable, ErrEnded, ErrFull, errUnreadable} {
		if errors.Is(err, named) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
