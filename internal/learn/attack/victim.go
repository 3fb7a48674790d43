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

// victim is a temporary account, created for one run. Its password is never shown or
// stored, so that even an account left by a killed server is of no use.
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
	person, err := r.Accounts.Register(ctx, account.Registration{Name: "Throwaway", Email: v.email, Password: v.password})
	if err != nil {
		return victim{}, fmt.Errorf("create a temporary account: %w", err)
	}
	v.id = person.ID
	return v, nil
}

// tidy deletes what a run left on this server: guest sessions, the victim's sessions
// and the victim, and any victim that an earlier run could not delete.
func (r *Runner) tidy(ctx context.Context, t *target) {
	ctx, cancel := r.cleaning(ctx, 2)
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

// endGuests logs out every token that the server has issued: most sessions have
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

// remove revokes all sessions of a victim and then deletes the account. It disables
// the account first, so that a login in progress cannot succeed afterwards.
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
