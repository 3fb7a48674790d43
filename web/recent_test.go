package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/product"
)

// request is one entry of /explain/recent.
type request struct {
	line  string // "GET /profile 200"
	facts map[string][]string
}

func recent(page *answer) []request {
	page.t.Helper()
	page.want(http.StatusOK)
	var all []request
	for _, li := range page.doc().Find("ol.recent > li").EachIter() {
		r := request{line: li.Find("h2").Text(), facts: map[string][]string{}}
		for _, div := range li.Find("dl div").EachIter() {
			value := div.Find("dd")
			if code := value.Find("code"); code.Length() > 0 {
				value = code
			}
			term := div.Find("dt").Text()
			r.facts[term] = append(r.facts[term], strings.TrimSpace(value.Text()))
		}
		all = append(all, r)
	}
	return all
}

func lines(requests []request) []string {
	var all []string
	for _, r := range requests {
		all = append(all, r.line)
	}
	return all
}

func TestRecentRequestsOfThisSession(t *testing.T) {
	onBothLearning(t, func(t *testing.T, w *world, _ string) {
		p := w.person("Ada")
		b := w.browser()
		b.post("/session", url.Values{"key": {"colour"}, "value": {"green"}}).wantRedirect("/session")
		b.logIn(p, "").wantRedirect("/profile")
		b.get("/profile?token=" + b.token()).want(http.StatusOK)
		b.post("/session", url.Values{"key": {"size"}, "value": {"large"}}).wantRedirect("/session")
		b.post("/session", url.Values{"key": {"colour"}, "value": {""}}).wantRedirect("/session")
		b.post("/account/name", url.Values{"name": {""}}).want(http.StatusUnprocessableEntity)
		b.post("/account/name", url.Values{"name": {"Ada L."}}).wantRedirect("/account")
		b.get("/account").want(http.StatusOK)
		b.post("/devices/end", url.Values{"id": {"none"}}).want(http.StatusNotFound)

		got := recent(b.get("/explain/recent").wantNoCookie())
		want := []string{
			"POST /devices/end 404", "GET /account 200", "POST /account/name 303", "POST /account/name 422",
			"POST /session 303", "POST /session 303", "GET /profile 200", "POST /login 303",
		}
		var brief []string
		for _, line := range lines(got) {
			if !strings.HasPrefix(line, "GET /login ") { // the guest requested that form
				brief = append(brief, line)
			}
		}
		if !slices.Equal(brief, want) {
			t.Fatalf("requests are\n%q\nwant\n%q", brief, want)
		}
		for i, words := range []string{
			"nothing: the request failed", "showed a notice", "left a notice for the next page", "nothing",
			"removed colour", "set size", "nothing", "logged in, with a new token",
		} {
			if said := got[i].facts["Changed"]; !slices.Equal(said, []string{words}) {
				t.Errorf("%s changed %q, want %q", got[i].line, said, words)
			}
		}
		masked := b.token()[:4] + "…" + b.token()[39:]
		if sent := got[7].facts["Set-Cookie"]; len(sent) != 2 || sent[0] != product.SessionCookie+"="+masked+"; Path=/; HttpOnly; SameSite=Lax" ||
			!regexp.MustCompile(`^device=.{4}….{4}; Path=/; Max-Age=34560000; HttpOnly; SameSite=Lax$`).MatchString(sent[1]) {
			t.Errorf("the login sent %q", sent)
		}
		if sql := strings.Join(got[7].facts["SQL"], "\n"); !strings.Contains(sql, "INSERT INTO devices") || strings.Contains(sql, p.id) {
			t.Errorf("the SQL of the login is\n%s", sql)
		}
		store := "Redis"
		if w.stores.redis == nil {
			store = "Embedded Redis"
		}
		if asked := got[6].facts[store]; !slices.Equal(asked, []string{"GET " + storedUnder(b.token())}) {
			t.Errorf("the profile asked %q", asked)
		}
		if sql := got[6].facts["SQL"]; sql != nil {
			t.Errorf("the profile needed SQL: %q", sql)
		}
	})
}

func TestRecentRequestsAreShownToNoOneElse(t *testing.T) {
	w := parallelWorld(t, embedded, options{learn: true})
	p := w.person("Ada")
	b, other, eve := w.member(p), w.member(p), w.member(w.person("Eve"))
	b.get("/devices").want(http.StatusOK)
	for who, others := range map[string]*browser{"their other device": other, "another person": eve, "a guest": w.browser()} {
		if got := recent(others.get("/explain/recent")); len(got) != 0 {
			t.Errorf("%s sees %q", who, lines(got))
		}
	}
	token := b.token()
	b.post("/logout", nil).wantRedirect("/login")
	if got := recent(b.get("/explain/recent")); len(got) != 0 {
		t.Errorf("after logout: %q", lines(got))
	}
	if got := recent(w.bare("GET", "/explain/recent", "", "Cookie: "+product.SessionCookie+"="+token)); len(got) != 0 {
		t.Errorf("with the cookie of before: %q", lines(got))
	}

	// Someone else logs in with the same browser.
	eve.post("/session", url.Values{"key": {"diary"}, "value": {"x"}}).wantRedirect("/session")
	eve.post("/login", credentials(p.email, p.password)).wantRedirect("/profile")
	page := eve.get("/explain/recent")
	if got := lines(recent(page)); !slices.Equal(got, []string{"POST /login 303"}) || strings.Contains(string(page.body), "diary") {
		t.Errorf("the next person sees %q\n%s", got, page.text("ol.recent"))
	}
}

func TestRecentRequestsAreTheLastTwenty(t *testing.T) {
	w := parallelWorld(t, embedded, options{learn: true})
	b := w.member(w.person("Ada"))
	for range 25 {
		b.get("/profile").want(http.StatusOK)
	}
	b.get("/devices").want(http.StatusOK)
	got := lines(recent(b.get("/explain/recent")))
	if len(got) != 20 || got[0] != "GET /devices 200" {
		t.Errorf("%d requests: %q", len(got), got)
	}
}

// TestNoTokenIsKept puts tokens wherever people can put text, as well as where tokens
// belong, and searches for them in everything kept and shown.
func TestNoTokenIsKept(t *testing.T) {
	w := parallelWorld(t, embedded, options{learn: true})
	p := w.person("Ada")
	b := w.known(p)
	for _, form := range []url.Values{
		{"key": {b.token()}, "value": {"x"}}, {"key": {"a"}, "value": {b.token()}}, {"key": {"b"}, "value": {"is " + b.token() + "."}},
	} {
		b.post("/session", form).wantRedirect("/session")
	}
	b.get("/profile?session=" + b.token()).want(http.StatusOK)
	tokens := []string{b.token()}
	b.post("/login", credentials(p.email, p.password)).wantRedirect("/profile")
	tokens = append(tokens, b.token())
	b.get("/explain").want(http.StatusOK)
	page := b.get("/explain/recent")
	kept := fmt.Sprintf("%+v", w.recent.All())
	if !strings.Contains(kept, "/explain") {
		t.Fatalf("nothing is kept: %s", kept)
	}
	for _, token := range tokens {
		for what, text := range map[string]string{
			"the page that explains": string(b.get("/explain").body), "the page of requests": string(page.body), "what is kept": kept,
		} {
			if strings.Contains(text, token) || strings.Contains(text, token[5:30]) {
				t.Errorf("a token is in %s", what)
			}
		}
	}
}
