package account

import (
	"crypto/rand"
	"time"

	"holdfast/internal/text"
)

// EventKind names what happened to an account, in the history and in the log.
type EventKind string

// The events. The words are stored and read by programs, so they do not change.
const (
	EventSignUp            EventKind = "sign_up"
	EventSignUpAgain       EventKind = "sign_up_again" // with an address that has an account
	EventLogIn             EventKind = "log_in"
	EventLogInNewBrowser   EventKind = "log_in_new_browser"
	EventLogInFailed       EventKind = "log_in_failed"
	EventReauth            EventKind = "password_proof" // the password was given again
	EventReauthFailed      EventKind = "password_proof_failed"
	EventLogOut            EventKind = "log_out"
	EventSessionEnded      EventKind = "session_ended" // another session, by its owner
	EventSessionsEnded     EventKind = "sessions_ended"
	EventSessionExpired    EventKind = "session_expired" // in the history alone, which finds it among the devices
	EventNameChanged       EventKind = "name_changed"
	EventEmailConfirmed    EventKind = "email_confirmed"
	EventEmailChangeAsked  EventKind = "email_change_asked"
	EventEmailChanged      EventKind = "email_changed"
	EventEmailChangeUndone EventKind = "email_change_undone"
	EventPasswordChanged   EventKind = "password_changed"
	EventResetAsked        EventKind = "password_reset_asked"
	EventPasswordReset     EventKind = "password_reset"
	EventDeletionAsked     EventKind = "account_deletion_asked"
	EventKept              EventKind = "account_kept" // after its deletion was asked for
	EventExported          EventKind = "account_exported"
	EventDeleted           EventKind = "account_deleted" // in the log alone
)

// EventKinds lists every event, for the list that documents them.
func EventKinds() []EventKind {
	return []EventKind{
		EventSignUp, EventSignUpAgain, EventLogIn, EventLogInNewBrowser, EventLogInFailed, EventReauth, EventReauthFailed,
		EventLogOut, EventSessionEnded, EventSessionsEnded, EventSessionExpired, EventNameChanged, EventEmailConfirmed, EventEmailChangeAsked,
		EventEmailChanged, EventEmailChangeUndone, EventPasswordChanged, EventResetAsked, EventPasswordReset,
		EventDeletionAsked, EventKept, EventExported, EventDeleted,
	}
}

// Event is one row of an account's history.
type Event struct {
	ID     string
	Person string
	Kind   EventKind
	At     time.Time
	From   text.Sender
}

// EmailKind says which email is to be written.
type EmailKind string

// The emails. The words are stored until an email is sent, so they do not change.
const (
	EmailWelcome        EmailKind = "welcome" // asks to confirm the address of a new account
	EmailTaken          EmailKind = "taken"   // to the owner of an address with which someone signed up
	EmailConfirm        EmailKind = "confirm" // asks again to confirm the address
	EmailReset          EmailKind = "reset"
	EmailChange         EmailKind = "change" // to a new address: confirm it
	EmailChanged        EmailKind = "changed"
	EmailUndone         EmailKind = "undone"
	EmailTakenBack      EmailKind = "takenback" // to the address from which an account was taken back
	EmailPassword       EmailKind = "password"  // the password was changed
	EmailBrowser        EmailKind = "browser"   // a login from a browser not seen before
	EmailClosing        EmailKind = "closing"   // the account will be deleted: keep it, or delete it now
	EmailDeleted        EmailKind = "deleted"
	EmailChangeConflict EmailKind = "conflict" // to the owner of an address that another account wanted
)

// EmailKinds lists every email.
func EmailKinds() []EmailKind {
	return []EmailKind{
		EmailWelcome, EmailTaken, EmailConfirm, EmailReset, EmailChange, EmailChanged,
		EmailUndone, EmailTakenBack, EmailPassword, EmailBrowser, EmailClosing, EmailDeleted, EmailChangeConflict,
	}
}

// Email is an email to be sent, as it waits in the outbox. It holds no link: the
// token of one is made when the email is sent, and is stored nowhere.
type Email struct {
	ID     string
	Kind   EmailKind
	Person string // whom it is about; "" where only the recipient's address is known
	To     string // address; where nothing else is known, in the form that no two people share
	Data   EmailData
	// The outbox fills in the rest, by its own clock: when the email was written,
	// when it was taken and could first have been, and how often that happened.
	Created, Taken, Turn time.Time
	Tries                int
}

// EmailData is what an email says, as it was when it was written.
type EmailData struct {
	Name    string    `json:"name,omitempty"`
	Email   string    `json:"email,omitempty"` // the other address, of a change
	Agent   string    `json:"agent,omitempty"` // User-Agent
	Address string    `json:"address,omitempty"`
	At      time.Time `json:"at"`
}

// Audit is what is written in the same transaction as the change it is about, or not
// at all.
type Audit struct {
	Events []Event
	Emails []Email
}

// event is one of this service's, now.
func (s *Service) event(person string, kind EventKind, from text.Sender) Event {
	return Event{ID: rand.Text(), Person: person, Kind: kind, At: s.instant(), From: from.Cut()}
}

// email is one of this service's, now.
func (s *Service) email(kind EmailKind, person, to, name string, from text.Sender) Email {
	from = from.Cut()
	return Email{
		ID: rand.Text(), Kind: kind, Person: person, To: to,
		Data: EmailData{Name: name, Agent: from.UserAgent, Address: from.Address, At: s.instant()},
	}
}

// greeting is the name by which an email greets a person: none before the address
// is confirmed, or someone signing up could send words of their own
// words to an address that is not theirs.
func (p Person) greeting() string {
	if !p.Verified {
		return ""
	}
	return p.Name
}
