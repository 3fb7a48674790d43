package web_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"holdfast/internal/dev/require"
)

// Requesting links for invented addresses does not delay anyone's email.
func TestInventedAddressesHoldUpNoReset(t *testing.T) {
	t.Parallel()
	onBothStacksWith(t, options{mail: true}, func(t *testing.T, w *world) {
		p := w.person("Ada")
		guest := w.browser()
		const invented = 150
		for n := range invented {
			guest.post("/forgot", url.Values{"email": {fmt.Sprintf("nobody%d@reef.example", n)}}).wantRedirect("/login")
		}
		guest.post("/forgot", url.Values{"email": {p.email}}).wantRedirect("/login")
		for turns := 1; ; turns++ {
			found, err := w.post.Next(t.Context())
			require.NoError(t, err)
			mails, err := w.folder.Latest()
			require.NoError(t, err)
			if len(mails) > 0 {
				if to := strings.Trim(mails[0].To, "<>"); to != p.email {
					t.Errorf("an email to %s", to)
				}
				break
			}
			if !found || turns > 30 {
				t.Fatalf("after %d turns of the sender, the one reset is not sent", turns)
			}
		}
	})
}
