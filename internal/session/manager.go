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

	"holdfast/internal/trace"
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
	m.guard = &guard{cells: c, stripes: newStripes()}
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
	s := &Session{manager: m, outer: ctx, trace: trace.From(ctx)}
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

// Commit stores what the request changed in s, if anything. It is called after
// the page is made and before its first byte is sent, and only for a request
// that succeeded. A page that tells what was stored calls it earlier; then
// nothing is stored after that. On any error nothing was changed, no cookie may
// be written and the page must not be sent.
// Errors: ErrUnavailable, ErrEnded, ErrNoticeTaken, and ErrFull when parallel
// requests together put in more than fits.
func (m *Manager) Commit(s *Session) error {
	if s.committed {
		return nil
	}
	before := s.noteBefore()
	if err := m.commit(s); err != nil {
		return err
	}
	s.committed = true
	if s.trace != nil {
		s.trace.Add(s.described(before))
	}
	return nil
}

func (m *Manager) commit(s *Session) error {
	switch {
	case s.loggedOut:
		return m.commitLogOut(s)
	case s.fresh != notFresh:
		return m.commitFresh(s)
	case s.changed && (s.stored || !s.record.empty()):
		return m.commitChange(s)
	case s.stored && m.now().Sub(s.record.Seen) >= m.limits.touchEvery():
		return m.commitTouch(s)
	}
	return nil
}

func (m *Manager) commitChange(s *Session) error {
	before := m.scs.Token(s.ctx)
	if err := m.write(s); err != nil {
		return err
	}
	if before == "" {
		s.cookie = cookieSet
	}
	if visitFrom(s.ctx).noticeTaken {
		return ErrNoticeTaken
	}
	return nil
}

// commitTouch writes down that the session was used. A page that only looked
// does not fail for it: a full store still greets, and an ended session's last
// page was asked for while it stood.
func (m *Manager) commitTouch(s *Session) error {
	if err := m.write(s); err != nil {
		m.log.WarnContext(s.ctx, "last use of a session not written down", "cause", err)
		s.touchFailed = err
	}
	return nil
}

// commitFresh stores a session under a new token, for a log-in or a renewal.
// It writes the ledger, then the new session, and ends the old one last, so
// that a failure anywhere in between leaves the old session as it was, nothing
// that anybody could log in with, and nothing that cannot be listed and ended.
func (m *Manager) commitFresh(s *Session) error {
	oldToken, oldVisit := m.scs.Token(s.ctx), visitFrom(s.ctx)
	if err := m.begin(s); err != nil {
		return err
	}
	// On a session without a token this makes one and does nothing else.
	if err := m.scs.RenewToken(s.ctx); err != nil {
		return fmt.Errorf("make token: %w", err)
	}
	entry := s.entry(hashToken(m.scs.Token(s.ctx)))
	s.record.Member.Device = entry.ID
	if err := m.establish(s, entry); err != nil {
		return m.undo(s, entry, err)
	}
	if oldToken == "" {
		s.cookie = cookieSet
		return nil
	}
	err := m.retire(s, hashToken(oldToken), oldVisit.found)
	if s.fresh == freshLogIn && isEnded(err) {
		err = nil // the old session ended meanwhile; this log-in does not rest on it
	}
	if err != nil {
		return m.undo(s, entry, err)
	}
	if s.replaced != "" {
		m.markEnded(s.ctx, s.replaced, s.fresh.ending())
	}
	s.cookie = cookieSet
	return nil
}

// establish writes the log-in down, makes room, stores the session, and makes
// sure that nobody ended it before it stood.
func (m *Manager) establish(s *Session, entry Entry) error {
	if err := m.ledger.Open(s.ctx, entry); err != nil {
		return fmt.Errorf("write the log-in down: %w", err)
	}
	ended, err := m.trim(s.ctx, entry)
	if err != nil {
		return fmt.Errorf("make room for the log-in: %w", err)
	}
	if ended > 0 {
		s.Flash(fmt.Sprintf("You can be logged in %d times at once. The oldest session was ended.", MaxLive))
	}
	if err := m.write(s); err != nil {
		return err
	}
	standing, err := m.ledger.Standing(s.ctx, entry.ID)
	if err != nil {
		return fmt.Errorf("confirm the log-in: %w", err)
	}
	if !standing {
		return ErrEnded
	}
	return nil
}

// undo takes back what commitFresh has begun. Nobody was given the token; but
// as long as its record may stand, the entry stays, so that it can be ended.
func (m *Manager) undo(s *Session, entry Entry, cause error) error {
	if err := m.guard.cells.remove(s.outer, entry.Key); err != nil {
		m.log.WarnContext(s.outer, "failed log-in not taken back", "cause", err)
		return cause
	}
	m.markEnded(s.outer, entry.ID, EndedByTime)
	return cause
}

// retire ends the session from before. Values that other requests put into it
// meanwhile are carried over. ErrEnded: it had ended already.
func (m *Manager) retire(s *Session, oldKey string, found []byte) error {
	for range maxOverlays {
		changed, err := m.guard.retire(s.ctx, oldKey, found)
		if err != nil {
			return fmt.Errorf("end the session from before: %w", unavailable(err))
		}
		if changed == nil {
			return nil
		}
		if err := m.carryOver(s, found, changed); err != nil {
			return err
		}
		found = changed
	}
	return fmt.Errorf("end the session from before: %w: %w", ErrUnavailable, errOutrun)
}

// carryOver brings what changed in the old session since it was found into the
// new one, unless it was another person's.
func (m *Manager) carryOver(s *Session, found, changed []byte) error {
	before, err := decodeRecord(found)
	if err != nil {
		return err
	}
	after, err := decodeRecord(changed)
	if err != nil {
		return err
	}
	if after.Member != nil && after.Member.ID != s.record.Member.ID {
		return nil
	}
	member := s.record.Member
	s.record, _ = overlay(before, after, s.record)
	s.record.Member = member
	visitFrom(s.ctx).found = visitFrom(s.ctx).stored
	return m.write(s)
}

func (m *Manager) commitLogOut(s *Session) error {
	if token := m.scs.Token(s.ctx); token != "" {
		if err := m.guard.cells.remove(s.ctx, hashToken(token)); err != nil {
			return fmt.Errorf("end session: %w", unavailable(err))
		}
	}
	if member, ok := s.Member(); ok {
		m.endRenewals(s.ctx, member)
	}
	s.cookie = cookieCleared
	return nil
}

// endRenewals notes the log-out in the ledger, and ends the session under the
// new token that a parallel request may have given it. Should the ledger not
// answer, no renewal is under way either, and the entry heals to expired.
func (m *Manager) endRenewals(ctx context.Context, member Member) {
	_, err := m.endWhere(ctx, member.ID, EndedByLogOut, func(e Entry) bool { return sameLogIn(e.ID, member.Device) })
	if err != nil {
		m.log.WarnContext(ctx, "log-out not noted", "cause", err)
	}
}

// markEnded notes in the ledger how a session ended that the store no longer
// has. Should it fail, the entry heals to expired.
func (m *Manager) markEnded(ctx context.Context, id string, how Ending) {
	if err := m.ledger.End(ctx, []string{id}, how, m.now()); err != nil {
		m.log.WarnContext(ctx, "end of a session not noted", "how", how, "cause", err)
	}
}

// write hands the record to scs, which encodes it and asks the guard.
func (m *Manager) write(s *Session) error {
	now := m.now()
	if now.After(s.record.Seen) {
		s.record.Seen = now
	}
	visitFrom(s.ctx).ttl = m.limits.idleEnd(s.record).Sub(now)
	m.scs.SetDeadline(s.ctx, s.record.Deadline)
	m.scs.Put(s.ctx, recordKey, s.record)
	if _, _, err := m.scs.Commit(s.ctx); err != nil {
		return fmt.Errorf("store session: %w", unavailable(err))
	}
	return nil
}

// WriteCookie adds to header w what [Manager.Commit] has decided: a new
// session's cookie, a cleared one, or nothing. It does so once.
func (m *Manager) WriteCookie(w http.ResponseWriter, s *Session) {
	if s.cookieDone {
		return
	}
	s.cookieDone = true
	switch s.cookie {
	case cookieSet:
		if member, ok := s.Member(); ok && member.Remember {
			m.scs.RememberMe(s.ctx, true)
		}
		m.scs.WriteSessionCookie(s.ctx, w, m.scs.Token(s.ctx), s.record.Deadline)
	case cookieCleared:
		m.scs.WriteSessionCookie(s.ctx, w, "", time.Time{})
	case cookieKept:
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
