package web_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/internal/product"
	"holdfast/internal/session"
	"holdfast/internal/session/store"
)

func TestWhatGuestsOfOneAddressStoreIsLimited(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{store.KindRedis, store.KindMemory, store.KindFile, store.KindDatabase} {
		t.Run(kind, func(t *testing.T) {
			w := parallelWorld(t, embedded, options{store: kind, guestBytes: 10 << 10, trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
			set := func(from, cookie string) *answer {
				headers := []string{"X-Forwarded-For: " + from, "Content-Type: " + urlencoded}
				if cookie != "" {
					headers = append(headers, "Cookie: "+cookie)
				}
				return w.bare("POST", "/session", "action=set&key=k"+strconv.FormatInt(w.people.Add(1), 10)+"&value="+strings.Repeat("x", 1000), headers...)
			}
			const mine, neighbour, stranger = "2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1"
			stored, cookie := 0, ""
			for ; stored < 20; stored++ {
				a := set(mine, "")
				if a.status == http.StatusTooManyRequests {
					break
				}
				cookie = product.SessionCookie + "=" + a.wantRedirect("/session").cookie(product.SessionCookie).Value
			}
			if stored < 6 || stored > 10 {
				t.Errorf("%d guests stored 1,000 bytes each, with a limit of 10 KiB", stored)
			}
			for what, refused := range map[string]*answer{"a guest who is known": set(mine, cookie), "a neighbour": set(neighbour, "")} {
				refused.want(http.StatusTooManyRequests).wantNoCookie().wantText("[role=alert] h2", "Nothing was changed")
				if wait, err := strconv.Atoi(refused.header.Get("Retry-After")); err != nil || wait < 3500 || wait > 3600 {
					t.Errorf("%s waits %q seconds, %v", what, refused.header.Get("Retry-After"), err)
				}
			}
			set(stranger, "").wantRedirect("/session")
			member := w.member(w.person("Ada"))
			member.post("/session", map[string][]string{"key": {"k"}, "value": {strings.Repeat("x", 1000)}}).wantRedirect("/session")

			// The counters are not sessions: they are not counted, and they stay.
			if n, err := w.sessions.RevokeAll(t.Context(), session.RevokedByOperator, func(int) {}); n != stored+2 || err != nil {
				t.Errorf("%d sessions revoked, want %d: %v", n, stored+2, err)
			}
			set(mine, "").want(http.StatusTooManyRequests)
			w.clock.Advance(time.Hour)
			set(mine, "").wantRedirect("/session")
		})
	}
}

// Guests who change stored data are charged only for its growth.
func TestAGuestIsChargedForWhatGrows(t *testing.T) {
	w := parallelWorld(t, embedded, options{guestBytes: 4 << 10})
	b := w.browser()
	value := func(n int) map[string][]string {
		return map[string][]string{"key": {"k"}, "value": {strings.Repeat("x", n)}}
	}
	for i := range 30 {
		b.post("/session", value(1000+i%2)).wantRedirect("/session")
	}
	for n := range 2 {
		b.post("/session", map[string][]string{"key": {fmt.Sprint(n)}, "value": {strings.Repeat("x", 1000)}}).wantRedirect("/session")
	}
	b.post("/session", map[string][]string{"key": {"last"}, "value": {strings.Repeat("x", 1000)}}).want(http.StatusTooManyRequests)
	b.get("/session").wantPart("table.values", "x").wantNoPart("table.values", "last")
	if a := b.postWith("/session", "key=last&value="+strings.Repeat("x", 1000), asJSON).want(http.StatusTooManyRequests); !strings.Contains(string(a.body), "Too many attempts") {
		t.Errorf("a program gets %s", a.body)
	}
}

func TestAGuestsSessionLivesAnHourUnlessUsed(t *testing.T) {
	w := parallelWorld(t, embedded, options{guestIdle: time.Hour})
	b := w.browser()
	b.post("/session", map[string][]string{"key": {"colour"}, "value": {"green"}}).wantRedirect("/session")
	if ttl, ok := w.do("TTL", w.sessionKeys()[0]).(int64); !ok || ttl < 3500 || ttl > 3600 {
		t.Errorf("the store keeps a guest's session %d seconds", ttl)
	}
	for range 3 {
		w.clock.Advance(50 * time.Minute)
		b.get("/session").wantText("table.values td:first-of-type", "green")
	}
	w.clock.Advance(time.Hour)
	b.get("/session").wantText("table.values", "")
	ada := w.member(w.person("Ada"))
	w.clock.Advance(2 * time.Hour)
	ada.get("/profile").want(http.StatusOK)
}
