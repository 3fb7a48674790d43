package account

import (
	"context"
	"time"
)

// Store is the database that a [Service] needs. Each method is atomic and returns in
// bounded time. Any method may return [ErrUnavailable]; methods that look up one person
// return [ErrNotFound]. An [Audit] is written in the same transaction as the change it
// describes, or not at all.
type Store interface {
	// These find and add people, and make the changes that need neither a password nor
	// an emailed link.

	// Insert adds a person. It returns ErrEmailTaken if the key is in use, or reserved
	// for an account that can still restore it.
	Insert(ctx context.Context, r Record) error
	// SignUp adds a person if Insert would. With always, it writes the audit in any
	// case, and taken says whether the caller found the key in use: if that has
	// changed, SignUp does nothing and returns ErrNotFound.
	SignUp(ctx context.Context, r Record, a Audit, always, taken bool) (added bool, err error)
	ByID(ctx context.Context, id string) (Record, error)
	ByEmailKey(ctx context.Context, key string) (Record, error)
	// ByFormerEmailKey returns the person for whose account a key is reserved, and the
	// address as they typed it.
	ByFormerEmailKey(ctx context.Context, key string, now time.Time) (r Record, address string, err error)
	// PageByEmailKey returns at most limit people whose key is above after, in byte
	// order of the keys.
	PageByEmailKey(ctx context.Context, after string, limit int) ([]Record, error)
	UpdateName(ctx context.Context, id, name string) (Record, error)
	// UpdateDisabled disables a person at a time. With the zero time it enables them
	// and cancels a scheduled deletion. Disabling twice keeps the first time.
	UpdateDisabled(ctx context.Context, id string, at time.Time) (Record, error)

	// These are what a login is checked against, and what it records.

	// ReplacePasswordHash replaces the old hash, or returns ErrNotFound if it has
	// changed.
	ReplacePasswordHash(ctx context.Context, id, old, new string) error
	// KnownBrowser returns the most recently used of these hashes that is known for the
	// person with the key, or "" if none is.
	KnownBrowser(ctx context.Context, key string, hashes []string) (hash string, err error)
	// RecordLogin records a login. The browser becomes known if the person's epoch has
	// not changed.
	RecordLogin(ctx context.Context, p Person, hash string, at time.Time, a Audit) error

	// These are events and emails that belong to no other change.

	// Audit writes events and emails. It skips events of people who do not exist.
	Audit(ctx context.Context, a Audit) error
	// AuditByEmail writes an event for the person with the key, if there is one.
	AuditByEmail(ctx context.Context, key string, e Event) error
	// History returns a person's events before an event, latest first. The zero Event
	// means all of them.
	History(ctx context.Context, person string, before Event, offset, limit int) ([]Event, error)
	// Browsers returns the known browsers of a person, most recently used first.
	Browsers(ctx context.Context, person string) ([]Browser, error)
	// PasswordSet returns when the history last records a change or reset of a person's
	// password, or zero if it records none.
	PasswordSet(ctx context.Context, person string) (time.Time, error)
	// Addresses returns the addresses that a person can still change to or restore.
	Addresses(ctx context.Context, person string) ([]OtherAddress, error)

	// These are emailed links.

	// InsertLink adds a link. It returns ErrNotFound if the person, or the email that
	// was to carry the link, no longer exists.
	InsertLink(ctx context.Context, l Link) error
	// FindLink returns a link that is neither spent nor expired.
	FindLink(ctx context.Context, hash string, now time.Time) (Link, error)
	// LinkDone returns the purpose of a link whose work is done, whether or not it was
	// spent: the address that it was to confirm is confirmed, or the account that it
	// was to keep is kept. It returns "" for any other link.
	LinkDone(ctx context.Context, hash string) (Purpose, error)

	// These changes need the password or an emailed link. Each locks the person's row
	// first, so that a concurrent login is recorded either before it or after it.

	// SetPassword replaces the old hash, which must not have changed. With a link,
	// which must still be valid, it replaces any hash, and confirms the address if the
	// link was emailed to it. It increments the epoch, revokes all sessions except that
	// of the device Keep, forgets all browsers except the one with the hash
	// KeepBrowser, spends links and removes emails that would carry one. Undo links to
	// addresses that the account had before its current one stay valid. Errors:
	// ErrNotFound if the old hash has changed, ErrLinkInvalid.
	SetPassword(ctx context.Context, p NewPassword, a Audit) (Record, error)
	// ConfirmEmail spends a link and confirms the address with the key, if the person
	// still has it. It removes emails that ask for this confirmation. Errors:
	// ErrLinkInvalid.
	ConfirmEmail(ctx context.Context, l Link, key string, at time.Time, a Audit) (Record, error)
	// MoveEmail spends a link and gives the person another address, which is confirmed.
	// It spends all other links and removes emails that would carry one, except for the
	// undo links to former addresses. With a hash it also replaces the password's hash,
	// increments the epoch, revokes all sessions, forgets all browsers, and spends the
	// undo links to addresses that the account has left since the link's change. It
	// calls audit with the person as read in the transaction. Errors: ErrLinkInvalid,
	// ErrEmailTaken.
	MoveEmail(ctx context.Context, l Link, to Move, audit func(before Record) Audit) (Record, error)
	// AskEmail writes an audit whose email asks a person to confirm a change to the
	// address with the key, unless such an email is waiting or was sent since a time.
	AskEmail(ctx context.Context, person, key string, since time.Time, a Audit) error
	// Close removes a person and everything stored about them, including emails to
	// their address and counted attempts. It keeps the keys of their sessions, which
	// stay revoked, and the attempts counted for an address that was never confirmed.
	// It returns the sessions to remove from the session store. With a link, which it
	// spends, the person must be scheduled for deletion. Errors: ErrLinkInvalid,
	// ErrUndoPossible.
	Close(ctx context.Context, id string, l *Link, a Audit) (ended []string, err error)
	// CloseLater disables a person and schedules their deletion after a wait, revokes
	// all sessions and spends all links except undo links. If the deletion is already
	// scheduled, it does nothing and returns nil.
	CloseLater(ctx context.Context, id string, wait time.Duration, at time.Time, a Audit) error
	// KeepPerson spends a link and cancels a scheduled deletion. Errors:
	// ErrLinkInvalid.
	KeepPerson(ctx context.Context, l Link, at time.Time, a Audit) (Record, error)
}

// NewPassword is a password to set. Hash is its hash. Old is the hash it replaces, or
// Link is the link that allows the change.
type NewPassword struct {
	Person    string
	Hash, Old string
	Link      *Link
	Keep      string // the device whose session continues; "" for none
	// KeepBrowser is the hash of the browser that stays known; "" for none.
	KeepBrowser string
	KnowBrowser bool // remember KeepBrowser as known
	At          time.Time
}

// Move is a person's new address. Hash is the hash of a new password, or "".
type Move struct {
	Email, Key string
	Hash       string
	At         time.Time
}
