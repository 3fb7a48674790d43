package attack

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"holdfast/internal/account"
	"holdfast/internal/session"
)

// victim is a throw-away person, made for one run. The password is never shown or
// stored, so that even one left by a killed server is of no use.
type victim struct{ id, email, password string }

func (v victim) form() url.Values {
	return url.Values{"email": {v.email}, "password": {v.password}}
}

// invent registers a victim. The address is one that never exists (RFC 6761,
// section 6.4).
func (r *Runner) invent(ctx context.Context) (victim, error) {
	v := victim{
		email:    strings.ToLower(rand.Text()) + "@throw-away.invalid",
		password: rand.Text() + rand.Text() + rand.Text(),
	}
	person, err := r.Accounts.Register(ctx, account.Registration{Name: "Throw-away", Email: v.email, Password: v.password})
	if err != nil {
		return victim{}, fmt.Errorf("create a temporary account: %w", err)
	}
	v.id = person.ID
	return v, nil
}

// tidy removes what a run has left on this server: sessions of guests, the
// victim's sessions, the victim; and victims that an earlier run could not.
func (r *Runner) tidy(ctx context.Context, t *target) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.tidyLimit())
	defer cancel()
	defer t.visitor.Close()
	err := t.endGuests(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	var still []string
	for _, id := range append(r.left, t.victim.id) {
		if failed := r.remove(ctx, id); failed != nil {
			err, still = errors.Join(err, failed), append(still, id)
		}
	}
	r.left = still
	if err != nil {
		r.Log.WarnContext(ctx, "attack cleanup incomplete", "cause", err)
	}
}

// endGuests logs every token out that the server has handed out: most have
// ended, and the others would never be used again.
func (t *target) endGuests(ctx context.Context) error {
	t.mu.Lock()
	tokens := t.tokens
	t.mu.Unlock()
	for _, token := range tokens {
		if _, err := t.do(ctx, request{method: http.MethodPost, path: "/logout", token: token}); err != nil {
			return err
		}
	}
	return nil
}

// remove ends all sessions of a victim and then forgets the person. Disabling
// comes first: no log-in that is still on its way survives it.
func (r *Runner) remove(ctx context.Context, id string) error {
	if _, err := r.Accounts.SetDisabled(ctx, id, true); err != nil {
		return ignoreGone(err)
	}
	if _, err := r.Sessions.RevokeAllOf(ctx, id, session.RevokedByDisable); err != nil {
		return err
	}
	return ignoreGone(r.Accounts.Delete(ctx, id))
}

func ignoreGone(err error) error {
	if errors.Is(err, account.ErrNotFound) {
		return nil
	}
	return err
}
