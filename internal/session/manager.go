package session

import (
	"cmp"
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
	Cookie  string // the session cookie's name, before any prefix; "" for product.SessionCookie
	Secure  bool   // cookies for https only
	// Start is the number of this server start, stored with every login.
	Start int64
	Now   func() time.Time // nil for the system clock
	Log   *slog.Logger
}

// Manager recognises sessions and stores them. It is safe for concurrent use.
type Manager struct {
	cfg   Config
	scs   *scs.SessionManager
	queue *revocation.Queue
	// touchEvery is the least time between two stored uses: a minute, or a twentieth of
	// a shorter idle timeout, a guest's included. A page view in between reads and does not write.
	touchEvery time.Duration
}

// New returns a Manager of the sessions in cfg.Store. scs generates and hashes
// tokens and calls the store. Its IdleTimeout stays zero, because any other value
// makes it write on every page view; the idle timeout is checked here instead.
func New(cfg Config) *Manager {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	m := &Manager{cfg: cfg, scs: scs.New(), queue: revocation.NewQueue(cfg.DataDir), touchEvery: min(time.Minute, cfg.Limits.IdleOf(Record{})/20)}
	m.scs.Store = scsStore{m: m}
	m.scs.Codec = codec{}
	m.scs.HashTokenInStore = true
	m.scs.Cookie.Name = product.CookieName(cmp.Or(cfg.Cookie, product.SessionCookie), cfg.Secure)
	m.scs.Cookie.Secure = cfg.Secure
	m.scs.Cookie.HttpOnly = true
	m.scs.Cookie.SameSite = http.SameSiteLaxMode
	m.scs.Cookie.Path = "/"
	m.scs.Cookie.Persist = false
	return m
}

// CookieName returns the name of the cookie this Manager reads and writes.
func (m *Manager) CookieName() string { return m.scs.Cookie.Name }

// Limits returns how long sessions live.
func (m *Manager) Limits() Limits { return m.cfg.Limits }

// Where describes in a few words where sessions are kept, without any secret.
func (m *Manager) Where() string { return m.cfg.Where }

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
func (m *Manager) Ping(ctx context.Context) error {
	return unavailable("ping session store", m.cfg.Store.Ping(ctx))
}

// Load returns the session of token, the value of the session cookie. For a token
// that is empty, ill-formed (the store is not called), unknown or expired, or whose
// record cannot be read, it returns a guest session, which is not stored until
// something is put into it. Error: ErrUnavailable; the sender may still be logged
// in.
func (m *Manager) Load(ctx context.Context, token string) (s *Session, err error) {
	s = &Session{manager: m, request: ctx}
	s.trace, _ = ctx.Value(traceKey{}).(*Trace)
	if token != "" && s.trace != nil {
		s.trace.GotToken(token)
	}
	var record Record
	if text.IsToken(token) {
		s.token = token
		if s.scs, err = m.scs.Load(ctx, token); err == nil {
			record, _ = m.scs.Get(s.scs, recordKey).(Record)
		}
	}
	now := m.cfg.Now()
	if record.raw != nil && s.trace != nil {
		s.trace.Found(record, m.cfg.Limits, now)
	}
	var removeStale func() error
	switch {
	case token == "":
		s.reason = NoToken
	case s.token == "":
		s.reason = IllFormed
	case errors.Is(err, errNewer):
		// A newer server can read it: the sender is a guest here and stays logged in
		// there.
		m.cfg.Log.WarnContext(ctx, "session skipped: written by a newer version", "cause", err)
		s.reason = Newer
	case errors.Is(err, errUnreadable), errors.Is(err, store.ErrWrongType):
		m.cfg.Log.WarnContext(ctx, "unreadable session found, deleting it", "cause", err)
		s.reason, removeStale = Unreadable, func() error { return m.cfg.Store.Delete(ctx, Key(token)) }
	case err != nil:
		return nil, unavailable("load session", err)
	case record.raw == nil:
		s.reason = NotFound
	case !m.cfg.Limits.Live(record, now):
		s.reason = m.cfg.Limits.whyExpired(record, now)
		// Only what was read is removed: another request may have renewed it.
		removeStale = func() error { return m.cfg.Store.CompareAndSwap(ctx, Key(token), record.raw, nil, 0) }
	case record.Member == nil:
		s.reason = OfGuest
		fallthrough
	default:
		s.base, s.record = record, record
	}
	if s.base.raw == nil {
		s.record = Record{CreatedAt: now, LastSeenAt: now, ExpiresAt: now.Add(m.cfg.Limits.Lifetime)}
		if s.scs, err = m.scs.Load(ctx, ""); err != nil {
			return nil, fmt.Errorf("start session: %w", err)
		}
	}
	if removeStale != nil {
		if err := removeStale(); err != nil && !errors.Is(err, store.ErrConflict) {
			// The next request with that token tries again.
			m.cfg.Log.WarnContext(ctx, "stale session not deleted", "cause", err)
		}
	}
	if s.trace != nil {
		s.trace.Loaded(s, s.reason)
	}
	return s, nil
}

// WellFormed reports whether token could have been generated by scs.
func WellFormed(token string) bool { return text.IsToken(token) }

// Key returns the name under which the store keeps a token's session. It is the
// hash that scs derives with HashTokenInStore, so that someone who can read the
// store cannot log in with what they find.
func Key(token string) string { return text.Hash(token) }

// Key returns the store's name for this session, "" if it has none.
func (s *Session) Key() string { return keyOf(s.manager.scs.Token(s.scs)) }

func keyOf(token string) string {
	if token == "" {
		return ""
	}
	return Key(token)
}

// scsStore is the [store.Store] as scs sees it. scs prefers the methods with a
// context to those of the interface, which is nil and never called.
type scsStore struct {
	scs.Store
	m *Manager
}

var _ scs.CtxStore = scsStore{}

// expectedKey is the key in a context for the stored bytes that a write replaces. scs
// passes its store only a key, bytes and a time.
type expectedKey struct{}

// FindCtx implements [scs.CtxStore].
func (s scsStore) FindCtx(ctx context.Context, key string) ([]byte, bool, error) {
	raw, err := s.m.cfg.Store.Get(ctx, key)
	return raw, raw != nil, err
}

// CommitCtx implements [scs.CtxStore] with compare-and-swap.
func (s scsStore) CommitCtx(ctx context.Context, key string, raw []byte, expiry time.Time) error {
	expected, _ := ctx.Value(expectedKey{}).([]byte)
	return s.m.cfg.Store.CompareAndSwap(ctx, key, expected, raw, expiry.Sub(s.m.cfg.Now()))
}

// DeleteCtx implements [scs.CtxStore].
func (s scsStore) DeleteCtx(ctx context.Context, key string) error {
	return s.m.cfg.Store.Delete(ctx, key)
}

// unavailable wraps a store's error in ErrUnavailable, unless it is one of the named
// errors; doing says what failed.
func unavailable(doing string, err error) error {
	if err == nil {
		return nil
	}
	for _, named := range []error{ErrUnavailable, ErrEnded, ErrFull, store.ErrConflict} {
		if errors.Is(err, named) {
			return fmt.Errorf("%s: %w", doing, err)
		}
	}
	return fmt.Errorf("%s: %w: %w", doing, ErrUnavailable, err)
}
