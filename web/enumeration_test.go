package web_test

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/internal/dev/campaign"
	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/password"
)

// enumerating returns the requests that could reveal who is registered, each for an
// address that may or may not have an account.
func enumerating(member *browser) map[string]func(w *world, email string) *answer {
	return map[string]func(w *world, email string) *answer{
		"log in": func(w *world, email string) *answer {
			return w.browser().post("/login", credentials(email, wrongPassword))
		},
		"sign up": func(w *world, email string) *answer { return w.signUp(email) },
		"forgot": func(w *world, email string) *answer {
			return w.browser().post("/forgot", url.Values{"email": {email}})
		},
		"change of email": func(_ *world, email string) *answer {
			member.get("/account") // removes the previous notice
			return member.post("/account/email", url.Values{"email": {email}})
		},
	}
}

func TestTheServerDoesTheSameForAnAddressWithAnAccountAndOneWithout(t *testing.T) {
	onBothStacksWith(t, options{learn: true, mail: true}, func(t *testing.T, w *world) {
		p := w.person("Ada")
		member := w.member(w.person("Bob"))
		for name, ask := range enumerating(member) {
			did := func(email string) (string, string) {
				a := ask(w, email)
				statements := "none noted"
				for _, r := range w.recent.All() {
					if r.Path != a.request.URL.Path || r.Method != http.MethodPost {
						continue
					}
					var texts []string
					for _, call := range r.Calls {
						texts = append(texts, strings.Join(strings.Fields(call.Text), " "))
					}
					statements = strings.Join(texts, "\n")
				}
				return statements, a.without(email)
			}
			known, saidOfKnown := did(p.email)
			unknown, saidOfUnknown := did(strings.Replace(p.email, "person", "nobody", 1))
			if known != unknown {
				t.Errorf("%s: with an account\n%s\nwithout\n%s", name, known, unknown)
			}
			if name != "change of email" && saidOfKnown != saidOfUnknown {
				t.Errorf("%s: with an account\n%s\nwithout\n%s", name, saidOfKnown, saidOfUnknown)
			}
		}
	})
}

// TestTimeTellsNobodyWhoIsRegistered compares the ranks of response times (Mann and
// Whitney). Passwords are hashed at full cost, which is most of the time: a failed
// login to an account adds one row to its history, some 0.1 ms.
func TestTimeTellsNobodyWhoIsRegistered(t *testing.T) {
	campaign.Only(t)
	const samples = 400
	hasher := password.NewHasher(password.DefaultCost(), 2, testkit.Patience)
	hash, err := hasher.Hash(t.Context(), sharedPassword)
	require.NoError(t, err)
	w := newWorld(t, services(t), options{mail: true, hasher: hasher})
	member := w.member(w.person("Bob"))
	for name, ask := range enumerating(member) {
		var known, unknown []time.Duration
		for n := range samples {
			p := w.person("Ada")
			w.sql("UPDATE people SET password_hash = '" + hash + "' WHERE id = '" + p.id + "'")
			for _, first := range []bool{n%2 == 0, n%2 != 0} {
				email, times := p.email, &known
				if !first {
					email, times = fmt.Sprintf("nobody%d-%s@kelp.example", n, strings.ReplaceAll(name, " ", "")), &unknown
				}
				began := time.Now()
				if a := ask(w, email); a.status >= http.StatusInternalServerError {
					t.Fatalf("%s: %d", name, a.status)
				}
				*times = append(*times, time.Since(began))
			}
		}
		// This fails by chance in one of 2,500 campaigns.
		if p := rankTest(known, unknown); p < 0.0001 {
			t.Errorf("%s: the times differ, p = %.4f", name, p)
		} else {
			t.Logf("%s: p = %.3f", name, p)
		}
	}
}

// rankTest returns how likely times as different as these are if both have the same
// distribution. It uses the normal approximation, which holds for 20 or more of each.
func rankTest(a, b []time.Duration) float64 {
	all := slices.Sorted(slices.Values(slices.Concat(a, b)))
	ranks := 0.0
	for _, took := range a {
		rank, _ := slices.BinarySearch(all, took)
		ranks += float64(rank + 1)
	}
	n, m := float64(len(a)), float64(len(b))
	u := ranks - n*(n+1)/2
	z := (u - n*m/2) / math.Sqrt(n*m*(n+m+1)/12)
	return math.Erfc(math.Abs(z) / math.Sqrt2)
}

func TestSigningUpTellsNobodyWhoIsRegisteredWhereMailIsOn(t *testing.T) {
	w := parallelWorld(t, embedded, options{mail: true})
	p := w.person("Ada")
	sign := func(email string) *answer {
		b := w.browser()
		a := b.register("Bea", email, otherPassword).wantRedirect("/login")
		if b.token() != "" {
			t.Error("signing up logs in")
		}
		return a
	}
	fresh, taken := sign("bea@kelp.example"), sign(p.email)
	if a, b := fresh.without("bea@kelp.example"), taken.without(p.email); a != b {
		t.Errorf("the answers differ:\n%s\n%s", a, b)
	}
	bea := w.browser()
	page := bea.follow(bea.post("/login", credentials("bea@kelp.example", otherPassword)).wantRedirect("/profile"))
	page.wantCount("[role=status] .notice", 1).wantPart("[role=status] .notice", "not confirmed yet")
	w.browser().post("/login", credentials(p.email, otherPassword)).want(http.StatusUnprocessableEntity)

	owner := w.mailTo(p.email, "You already have an account")
	if strings.Contains(owner.Text, "Bea") || len(linkLine.FindString(owner.Text)) > 0 {
		t.Errorf("the email to the owner says %q", owner.Text)
	}
	link := w.linkIn(w.mailTo("bea@kelp.example", "Confirm your email address"))
	bea.get("/account").want(http.StatusOK).wantText(".overview strong", "not confirmed yet")
	confirmed := bea.submit(bea.get(link).want(http.StatusOK), "form[action='/verify']", nil).wantRedirect("/account")
	bea.follow(confirmed).wantNotices("Your email address is confirmed.")
	bea.get(link).want(http.StatusOK).wantText("h1", "Your email address is confirmed")
	bea.get("/account").wantNoPart("html", "not confirmed")
}
