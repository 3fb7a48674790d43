package account

import (
	"crypto/rand"
	"time"

	"holdfast/internal/text"
)

// EventKind names what happened to an account, in the history and in the log.
type EventKind string

// The events. Their values are stored and read by programs, so they must not change.
const (
	EventSignUp            EventKind = "sign_up"
	EventSignUpAgain       EventKind = "sign_up_again" // with an address that already has an account
	EventLogIn             EventKind = "log_in"
	EventLogInNewBrowser   EventKind = "log_in_new_browser"
	EventLogInFailed       EventKind = "log_in_failed"
	EventReauth            EventKind = "password_proof" // the password was entered again
	EventReauthFailed      EventKind = "password_proof_failed"
	EventLogOut            EventKind = "log_out"
	EventSessionEnded      EventKind = "session_ended" // another session, revoked by its owner
	EventSessionsEnded     EventKind = "sessions_ended"
	EventSessionExpired    EventKind = "session_expired" // only in the history, which finds it among the devices
	EventNameChanged       EventKind = "name_changed"
	EventEmailConfirmed    EventKind = "email_confirmed"
	EventEmailChangeAsked  EventKind = "email_change_asked"
	EventEmailChanged      EventKind = "email_changed"
	EventEmailChangeUndone EventKind = "email_change_undone"
	EventPasswordChanged   EventKind = "password_changed"
	EventResetAsked        EventKind = "password_reset_asked"
	EventPasswordReset     EventKind = "password_reset"
	EventDeletionAsked     EventKind = "account_deletion_asked"
	EventKept              EventKind = "account_kept" // after its deletion was requested
	EventExported          EventKind = "account_exported"
	EventDeleted           EventKind = "account_deleted" // only in the log
)

// Event is one row of an account's history.
type Event struct {
	ID     string
	Person string
	Kind   EventKind
	At     time.Time
	From   text.Sender
}

// EmailKind says which email to write.
type EmailKind string

// The emails. Their values are stored until an email is sent, so they must not change.
const (
	EmailWelcome        EmailKind = "welcome" // asks to confirm the address of a new account
	EmailTaken          EmailKind = "taken"   // to the owner of an address that someone tried to sign up with
	EmailConfirm        EmailKind = "confirm" // asks again to confirm the address
	EmailReset          EmailKind = "reset"
	EmailChange         EmailKind = "change" // asks to confirm a new address
	EmailChanged        EmailKind = "changed"
	EmailUndone         EmailKind = "undone"
	EmailTakenBack      EmailKind = "takenback" // to the address that an account lost when a change was undone
	EmailPassword       EmailKind = "password"  // the password was changed
	EmailBrowser        EmailKind = "browser"   // a login from a browser not seen before
	EmailClosing        EmailKind = "closing"   // the account will be deleted: keep it, or delete it now
	EmailDeleted        EmailKind = "deleted"
	EmailChangeConflict EmailKind = "conflict" // to the owner of an address that another account asked for
)

// EmailKinds returns every email.
func EmailKinds() []EmailKind {
	return []EmailKind{
		EmailWelcome, EmailTaken, EmailConfirm, EmailReset, EmailChange, EmailChanged,
		EmailUndone, EmailTakenBack, EmailPassword, EmailBrowser, EmailClosing, EmailDeleted, EmailChangeConflict,
	}
}

// Email is an email that waits in the outbox. It contains no link: the token is created
// when the email is sent, and is stored nowhere.
type Email struct {
	ID     string
	Kind   EmailKind
	Person string // whom it is about; "" if only the recipient's address is known
	To     string // the recipient's address, or its key if nothing else is known
	Data   EmailData
	// The outbox sets these by its own clock: when the email was written, when it was
	// taken, when it could first have been taken, and how often it was taken.
	Created, Taken, Turn time.Time
	Tries                int
}

// EmailData is what an email says, as of the time it was written.
type EmailData struct {
	Name    string    `json:"name,omitempty"`
	Email   string    `json:"email,omitempty"` // the other address, if an address changed
	Agent   string    `json:"agent,omitempty"` // User-Agent
	Address string    `json:"address,omitempty"`
	At      time.Time `json:"at"`
}

// Audit is written in the same transaction as the change it describes, or not at all.
type Audit struct {
	Events []Event
	Emails []Email
}

// event returns an event that happens now.
func (s *Service) event(person string, kind EventKind, from text.Sender) Event {
	return Event{ID: rand.Text(), Person: person, Kind: kind, At: s.instant(), From: from.Cut()}
}

// newAudit returns an event that happens now, with the emails about it.
func (s *Service) newAudit(person string, kind EventKind, from text.Sender, emails ...Email) Audit {
	return Audit{Events: []Event{s.event(person, kind, from)}, Emails: emails}
}

// email returns an email to a person, written now.
func (s *Service) email(kind EmailKind, p Person, from text.Sender) Email {
	from = from.Cut()
	return Email{
		ID: rand.Text(), Kind: kind, Person: p.ID, To: p.Email,
		Data: EmailData{Name: p.greeting(), Agent: from.UserAgent, Address: from.Address, At: s.instant()},
	}
}

// greeting returns the name with which an email greets a person. It is "" until the
// address is confirmed: otherwise someone signing up could send words of their choice
// to another person's address.
func (p Person) greeting() string {
	if !p.Verified {
		return ""
	}
	return p.Name
}
