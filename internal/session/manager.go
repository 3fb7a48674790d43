package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"

	"holdfast/internal/product"
	"holdfast/internal/session/revocation"
	"holdfast/internal/session/store"
	"holdfast/internal/text"
)

// TokenLength is the length of scs's tokens: 32 random bytes in unpadded base64url
// (256 bits; ASVS 5.0 7.2.3 asks for 128).
const TokenLength = 43

// Config configures a Manager.
type Config struct {
	Store   store.Store
	Where   string // where sessions are kept, in a few words, without any secret
	Devices DeviceStore
	DataDir string // for revocations that the database cannot take right now
	Limits  Limits
	Secure  bool // cookies for https only
	// Start is the number of this server start, stored with every login.
	Start int64
	Now   func() time.Time // nil for the system clock
	Log   *slog.Logger
}

// Manager recognises sessions and stores them. It is safe for concurrent use.
type Manager struct {
	scs     *scs.SessionManager
	store   store.Store
	where   string
	devices DeviceStore
	queue   *revocation.Queue
	limits  Limits
	// touchEvery is the least time between two stored uses: a minute, or a twentieth of
	// a shorter idle timeout. A page view in between reads and does not write.
	touchEvery time.Duration
	start      int64
	now        func() time.Time
	log        *slog.Logger
}

// New returns a Manager of the sessions in cfg.Store. scs generates and hashes
// tokens and calls the store. Its IdleTimeout stays zero, because any other value
// makes it write on every page view; the idle timeout is checked here instead.
func New(cfg Config) *Manager {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	m := &Manager{
		scs:        scs.New(),
		store:      cfg.Store,
		where:      cfg.Where,
		devices:    cfg.Devices,
		queue:      revocation.NewQueue(cfg.DataDir),
		limits:     cfg.Limits,
		touchEvery: min(time.Minute, cfg.Limits.Idle/20),
		start:      cfg.Start,
		now:        cfg.Now,
		log:        cfg.Log,
	}
	m.scs.Store = scsStore{m}
	m.scs.Codec = codec{}
	m.scs.HashTokenInStore = true
	m.scs.Cookie.Name = CookieName(cfg.Secure)
	m.scs.Cookie.Secure = cfg.Secure
	m.scs.Cookie.HttpOnly = true
	m.scs.Cookie.SameSite = http.SameSiteLaxMode
	m.scs.Cookie.Path = "/"
	m.scs.Cookie.Persist = false
	return m
}

// CookieName returns the name of the session cookie.
func CookieName(secure bool) string { return product.CookieName(product.SessionCookie, secure) }

// CookieName returns the name of the cookie this Manager reads and writes.
func (m *Manager) CookieName() string { return m.scs.Cookie.Name }

// Where describes in a few words where sessions are kept, without any secret.
func (m *Manager) Where() string { return m.where }

// Repair is the error of a store that reapplies revocations to older data before it
// trusts what it reads there. Its text may be shown to anyone.
type Repair = store.Repair

// Clock is a reading of the database's clock.
type Clock = store.Clock

// ErrNoHeartbeat: the store answers but accepts no writes, so it is not trusted. It
// comes with ErrUnavailable.
var ErrNoHeartbeat = store.ErrNoHeartbeat

// Ping checks that the store answers and is trusted. Errors: ErrUnavailable,
// together with [Repair] or ErrNoHeartbeat if that is the cause.
func (m *Manager) Ping(ctx context.Context) error { return unavailable(m.store.Ping(ctx)) }

// Load returns the session of token, the value of the session cookie. For a token
// that is empty, ill-formed (the store is not called), unknown or expired, or whose
// record cannot be read, it returns a guest session, which is not stored until
// something is put into it. Error: ErrUnavailable; the sender may still be logged
// in.
func (m *Manager) Load(ctx context.Context, token string) (*Session, error) {
	s := &Session{manager: m, request: ctx, trace: traceOf(ctx)}
	stale, err := m.load(s, token)
	if err != nil {
		return nil, err
	}
	if stale != nil {
		if err := stale(); err != nil && !errors.Is(err, store.ErrConflict) {
			// The next request with that token tries again.
			m.log.WarnContext(ctx, "stale session not deleted", "cause", err)
		}
	}
	if s.trace != nil {
		s.trace.Loaded(s, s.reason)
	}
	return s, nil
}

// load looks up token and fills s with its session. It returns a function that
// deletes an expired or unreadable record, or nil.
func (m *Manager) load(s *Session, token string) (stale func() error, err error) {
	ctx := s.request
	if token == "" {
		return nil, m.guest(s, NoToken)
	}
	if s.trace != nil {
		s.trace.GotToken(token)
	}
	if !text.IsToken(token) {
		return nil, m.guest(s, IllFormed)
	}
	s.token = token
	loaded, err := m.scs.Load(ctx, token)
	switch {
	case errors.Is(err, errNewer):
		// A newer server can read it: the sender is a guest here and stays logged in
		// there.
		m.log.WarnContext(ctx, "session skipped: written by a newer version", "cause", err)
		return nil, m.guest(s, Newer)
	case errors.Is(err, errUnreadable), errors.Is(err, store.ErrWrongType):
		m.log.WarnContext(ctx, "unreadable session found, deleting it", "cause", err)
		return func() error { return m.store.Delete(ctx, Key(token)) }, m.guest(s, Unreadable)
	case err != nil:
		return nil, fmt.Errorf("load session: %w", unavailable(err))
	}
	record, ok := m.scs.Get(loaded, recordKey).(Record)
	if !ok {
		return nil, m.guest(s, NotFound)
	}
	now := m.now()
	if s.trace != nil {
		s.trace.Found(record, m.limits, now)
	}
	if !m.limits.Live(record, now) {
		// Only what was read is removed: another request may have renewed it.
		read := record.raw
		stale = func() error { return m.store.CompareAndSwap(ctx, Key(token), read, nil, 0) }
		return stale, m.guest(s, m.limits.whyExpired(record, now))
	}
	s.scs, s.base, s.record = loaded, record, record
	if record.Member == nil {
		s.reason = OfGuest
	}
	return nil, nil
}

// guest makes s a session that is not stored yet.
func (m *Manager) guest(s *Session, why Reason) error {
	now := m.now()
	s.reason = why
	s.record = Record{CreatedAt: now, LastSeenAt: now, ExpiresAt: now.Add(m.limits.Lifetime)}
	return m.begin(s)
}

// begin gives s new scs data, without a token.
func (m *Manager) begin(s *Session) (err error) {
	if s.scs, err = m.scs.Load(s.request, ""); err != nil {
		return fmt.Errorf("start session: %w", err)
	}
	return nil
}

// WellFormed reports whether token could have been generated by scs.
func WellFormed(token string) bool {
	return text.IsToken(token)
}

// Key returns the name under which the store keeps a token's session. It is the
// hash that scs derives with HashTokenInStore, so that someone who can read the
// store cannot log in with what they find.
func Key(token string) string {
	return text.Hash(token)
}

// Key returns the store's name for this session, "" if it has none.
func (s *Session) Key() string {
	return keyOf(s.manager.scs.Token(s.scs))
}

func keyOf(token string) string {
	if token == "" {
		return ""
	}
	return Key(token)
}

// scsStore is the [store.Store] as scs sees it.
type scsStore struct{ *Manager }

var _ scs.CtxStore = scsStore{}

// FindCtx implements [scs.CtxStore].
func (m scsStore) FindCtx(ctx context.Context, key string) ([]byte, bool, error) {
	raw, err := m.store.Get(ctx, key)
	return raw, raw != nil, err
}

// CommitCtx implements [scs.CtxStore] for a packed change.
func (m scsStore) CommitCtx(ctx context.Context, key string, packed []byte, expiry time.Time) error {
	c, err := unpack(packed)
	if err != nil {
		return err
	}
	return m.store.CompareAndSwap(ctx, key, c.old, c.new, expiry.Sub(m.now()))
}

// DeleteCtx implements [scs.CtxStore].
func (m scsStore) DeleteCtx(ctx context.Context, key string) error { return m.store.Delete(ctx, key) }

// Find, Commit and Delete complete [scs.Store]. scs prefers the methods with a
// context whenever they exist, so these are never called.
func (scsStore) Find(string) ([]byte, bool, error)      { return nil, false, errors.ErrUnsupported }
func (scsStore) Commit(string, []byte, time.Time) error { return errors.ErrUnsupported }
func (scsStore) Delete(string) error                    { return errors.ErrUnsupported }

// unavailable wraps a store's error in ErrUnavailable; named errors are returned
// unchanged.
func unavailable(err error) error {
	if err == nil {
		return nil
	}
	for _, named := range []error{ErrUnavailable, ErrEnded, ErrFull, store.ErrConflict} {
		if errors.Is(err, named) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
