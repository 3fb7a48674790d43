package web_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"holdfast/internal/product"
)

func TestTheSessionCookieGoesWithTheBrowserUnlessRemembered(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	p := w.person("Ada")
	for what, in := range map[string]*answer{
		"logging in": w.browser().logIn(p, ""), "registering": w.browser().register("Bea", "bea@kelp.example", otherPassword),
	} {
		if cookie := in.cookie(product.SessionCookie); cookie.MaxAge != 0 || !cookie.Expires.IsZero() {
			t.Errorf("%s sets a cookie that stays: %s", what, cookie.Raw)
		}
	}
	b := w.browser()
	page := b.get("/login")
	page.wantText("label[for=remember]", "Keep me logged in for 30 days")
	kept := b.submit(page, "form[action='/login']", map[string]string{
		"email": p.email, "password": p.password, "remember": "on",
	}).cookie(product.SessionCookie)
	month := int(sessionLonger / time.Second)
	if kept.MaxAge < month-60 || kept.MaxAge > month+60 {
		t.Errorf("a remembered log-in's cookie stays %d seconds, want 30 days: %s", kept.MaxAge, kept.Raw)
	}
}

func TestCookiesAreHeldToThisSiteAndKeptFromScripts(t *testing.T) {
	t.Parallel()
	for scheme, prefix := range map[string]string{"http": "", "https": "__Host-"} {
		t.Run(scheme, func(t *testing.T) {
			w := parallelWorld(t, embedded, options{https: scheme == "https"})
			b := w.browser()
			in := b.logIn(w.person("Ada"), "").wantRedirect("/profile")
			out := b.logOut()
			last := b.follow(out).want(http.StatusOK)
			for _, cookie := range []*http.Cookie{
				in.cookie(prefix + product.SessionCookie), in.cookie(prefix + product.DeviceCookie), out.cookie(prefix + product.SessionCookie), out.cookie(prefix + product.PartingCookie), last.cookie(prefix + product.PartingCookie),
			} {
				if !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.Domain != "" ||
					cookie.Secure != (scheme == "https") || len(cookie.Name)+len(cookie.Value) > 4096 {
					t.Errorf("cookie %s", cookie.Raw)
				}
			}
			if gone := out.cookie(prefix + product.SessionCookie); gone.Value != "" || gone.MaxAge >= 0 {
				t.Errorf("logging out leaves %s", gone.Raw)
			}
			if len(in.cookies)+len(out.cookies)+len(last.cookies) != 5 {
				t.Errorf("other cookies are set: %q %q %q", in.header["Set-Cookie"], out.header["Set-Cookie"], last.header["Set-Cookie"])
			}
		})
	}
}

func TestATokenIsNewAtEveryLogIn(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	p := w.person("Ada")
	shape := regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)
	seen := map[string]bool{}
	b := w.browser()
	for range 5 {
		before := b.token()
		b.post("/login", credentials(p.email, p.password)).wantRedirect("/profile")
		token := b.token()
		if seen[token] || !shape.MatchString(token) {
			t.Fatalf("token %q after %v", token, seen)
		}
		seen[token] = true
		if before != "" {
			w.bare("GET", "/profile", "", "Cookie: "+product.SessionCookie+"="+before).wantRedirect("/login?next=%2Fprofile")
		}
		b.get("/profile").want(http.StatusOK)
	}
	if keys := w.sessionKeys(); len(keys) != 1 {
		t.Errorf("one browser logged in five times has %d sessions", len(keys))
	}
}

func TestAnInventedTokenIsNeverAdopted(t *testing.T) {
	onBothStacks(t, func(t *testing.T, w *world) {
		p := w.person("Ada")
		invented := strings.Repeat("A", 42) + "E" // well-formed, but of no session
		cookie := "Cookie: " + product.SessionCookie + "=" + invented
		w.bare("GET", "/profile", "", cookie).wantRedirect("/login?next=%2Fprofile").wantNoCookie()
		form := "Content-Type: " + urlencoded
		in := w.bare("POST", "/login", credentials(p.email, p.password).Encode(), cookie, form).wantRedirect("/profile")
		if token := in.cookie(product.SessionCookie).Value; token == invented {
			t.Error("the invented token became a session")
		}
		set := w.bare("POST", "/session", "key=a&value=b", cookie, form).wantRedirect("/session")
		if token := set.cookie(product.SessionCookie).Value; token == invented {
			t.Error("the invented token became a guest's session")
		}
		w.bare("GET", "/profile", "", cookie).wantRedirect("/login?next=%2Fprofile")
		w.wantNotStored(invented)
	})
}

// illFormed returns Cookie headers that no response of this site could have caused.
func illFormed(token string) []string {
	return []string{
		product.SessionCookie + "=", product.SessionCookie, product.SessionCookie + "=x", product.SessionCookie + "=" + token[:42], product.SessionCookie + "=" + token + "A", product.SessionCookie + "=" + token + "=",
		product.SessionCookie + "=" + strings.Repeat("A", 8192), product.SessionCookie + "=" + strings.Repeat("*", 43), product.SessionCookie + "=" + strings.Repeat("%41", 43),
		product.SessionCookie + "=" + token[:42] + "+", product.SessionCookie + "=" + token[:42] + "/", product.SessionCookie + "=" + token[:42] + "\u00e9", product.SessionCookie + `="` + token[:41] + `"`,
		product.SessionCookie + "=" + token[:20] + " " + token[21:], product.SessionCookie + "=holdfast:session:" + token[:26], product.SessionCookie + "=../../" + token[:37],
		strings.ToUpper(product.SessionCookie[:1]) + product.SessionCookie[1:] + "=" + token, // another spelling is another cookie
		"__Host-" + product.SessionCookie + "=" + token, product.SessionCookie + "2=" + token, "; ; =;", product.SessionCookie + "==" + token,
	}
}

func TestAnIllFormedCookieIsAGuestsAndAsksNoStore(t *testing.T) {
	w, _, b := withMember(t, services, options{learn: true})
	before := w.everything()
	const name = product.SessionCookie
	two := []string{name + "=" + b.token() + "; " + name + "=" + b.token(), name + "=" + strings.Repeat("B", 43) + "; " + name + "=" + b.token()}
	send := func() {
		for _, cookies := range two { // which one is ours is unknown
			w.bare("GET", "/profile", "", "Cookie: "+cookies).wantRedirect("/login?next=%2Fprofile")
			w.bare("GET", "/", "", "Cookie: "+cookies).want(http.StatusOK).wantNoCookie()
		}
		for _, cookies := range illFormed(b.token()) {
			w.bare("GET", "/profile", "", "Cookie: "+cookies).wantRedirect("/login?next=%2Fprofile").wantNoCookie()
			w.bare("GET", "/", "", "Cookie: "+cookies).want(http.StatusOK).wantNoCookie()
		}
		w.bare("GET", "/profile", "", "Cookie: "+product.SessionCookie+"="+b.token(), "Cookie: "+product.SessionCookie+"="+b.token()).wantRedirect("/login?next=%2Fprofile")
	}
	if calls := w.redisCalls(send); len(calls) > 0 {
		t.Errorf("ill-formed cookies called Redis: %v", calls)
	}
	w.wantUnchanged(before, "ill-formed cookies")
	b.get("/profile").want(http.StatusOK)
}

func TestATokenCountsInTheCookieOnly(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	token := w.member(w.person("Ada")).token()
	const name = product.SessionCookie
	w.bare("GET", "/profile", "", "Cookie: "+name+"="+token).want(http.StatusOK)
	for _, path := range []string{"/profile?" + name + "=" + token, "/profile;" + name + "=" + token} {
		if page := w.bare("GET", path, ""); page.status == http.StatusOK {
			t.Errorf("GET %s greets %q", path, page.text("h1"))
		}
	}
	for _, header := range []string{
		"Authorization: Bearer " + token, "X-Session: " + token, "Session: " + token, "X-Auth-Token: " + token, "Set-Cookie: " + name + "=" + token, "Cookie2: " + name + "=" + token,
	} {
		w.bare("GET", "/profile", "", header).want(http.StatusSeeOther)
	}
	w.bare("POST", "/account/name", "name=Eve&"+name+"="+token, "Content-Type: "+urlencoded).wantRedirect("/login?next=%2Faccount")
}

func TestTheStoreHoldsNothingToLogInWith(t *testing.T) {
	onBothStacks(t, func(t *testing.T, w *world) {
		p, b := w.newMember("Ada")
		token := b.token()
		for key, value := range w.everything() {
			if strings.Contains(key+value, token) || strings.Contains(value, p.password) {
				t.Errorf("%s holds the token or the password", key)
			}
		}
		keys := w.sessionKeys()
		if len(keys) != 1 || keys[0] != storedUnder(token) {
			t.Fatalf("session keys %q, want the SHA-256 of the token", keys)
		}
		for _, key := range w.keys() {
			for _, tried := range []string{key, strings.TrimPrefix(key, sessionPrefix)} {
				w.bare("GET", "/profile", "", "Cookie: "+product.SessionCookie+"="+tried).want(http.StatusSeeOther)
			}
		}
		ttl, ok := w.do("TTL", keys[0]).(int64)
		if !ok || ttl < int64((sessionIdle-10*time.Minute)/time.Second) || ttl > int64(sessionIdle/time.Second) {
			t.Errorf("the store keeps the session %d seconds, want 24 hours", ttl)
		}
	})
}

func TestTokensAreSpreadEvenly(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	const sessions = 100
	ones := 0
	seen := map[string]bool{}
	for range sessions {
		token := w.bare("POST", "/session", "key=a&value=b", "Content-Type: "+urlencoded).cookie(product.SessionCookie).Value
		seen[token] = true
		for _, letter := range token {
			value := strings.IndexRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", letter)
			for ; value > 0; value >>= 1 {
				ones += value & 1
			}
		}
	}
	if len(seen) != sessions {
		t.Fatalf("%d different tokens of %d", len(seen), sessions)
	}
	// 256 random bits a token: half are ones, give or take six standard
	// deviations (sqrt(n)/2 = 80 for n = 25,600).
	if bits := sessions * 256; ones < bits/2-480 || ones > bits/2+480 {
		t.Errorf("%d of %d bits are ones", ones, bits)
	}
}

func TestWhoRegistersCanStayLoggedIn(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	for box, kept := range map[string]bool{"on": true, "": false} {
		form := signUpForm("ada"+box+"@kelp.example", otherPassword)
		form.Set("remember", box)
		cookie := w.browser().post("/register", form).wantRedirect("/profile").cookie(w.sessions.CookieName())
		if got := cookie.MaxAge > 0; got != kept {
			t.Errorf("remember %q: the cookie is kept when the browser closes: %v", box, got)
		}
	}
}

func TestALoginWhoseCookieDoesNotComeBackSaysWhy(t *testing.T) {
	t.Parallel()
	for scheme, want := range map[string]string{"http": "Allow cookies for this site", "https": "over https only, and you opened this page over http"} {
		t.Run(scheme, func(t *testing.T) {
			w := parallelWorld(t, embedded, options{https: scheme == "https"})
			p := w.person("Ada")
			b := w.browser()
			b.client.Jar = nil // a browser that keeps no cookies, or no https cookies
			form := url.Values{"email": {p.email}, "password": {p.password}, "next": {"/devices"}}.Encode()
			in := b.postWith("/login", form, "Origin: http://"+w.base.Host).want(http.StatusSeeOther)
			page := b.get(in.resolve(in.header.Get("Location"))).want(http.StatusOK)
			page.wantText("h1", "Log in").wantPart("main .notice", want).wantValue("form[action='/login'] [name=next]", "/devices")
			// From a link of another site, and without a login.
			b.send("GET", in.header.Get("Location"), "", "Sec-Fetch-Site: cross-site").wantText("main .notice", "")
			b.get("/login?next=%2Fdevices").wantText("main .notice", "")

			// A browser that keeps cookies is redirected, and not checked again.
			b = w.browser()
			to := b.get(b.logIn(p, "/devices").header.Get("Location"))
			if scheme == "http" {
				to.wantRedirect("/devices")
			}
			b.get("/profile").want(http.StatusOK)
			b.post("/logout", nil)
			if to := b.logIn(p, "/devices").header.Get("Location"); to != "/devices" {
				t.Errorf("the second login leads to %q", to)
			}
		})
	}
}

// Another program, on this host or on a parent domain, has set a cookie with the same
// name for some pages. Only those pages get both.
func TestTwoSessionCookiesEndInANoticeAndNotInARedirectLoop(t *testing.T) {
	w, p, b := withMember(t, embedded, options{})
	b.client.Jar.SetCookies(w.base, []*http.Cookie{{Name: product.SessionCookie, Value: "foreign", Path: "/profile"}})
	for range 2 {
		sent := b.get("/profile").wantRedirect("/login?next=%2Fprofile")
		if gone := sent.cookie(product.SessionCookie); gone.MaxAge >= 0 || gone.Path != "/" {
			t.Errorf("our cookie is not cleared: %s", gone.Raw)
		}
		login := b.follow(sent).want(http.StatusOK)
		login.wantPart("[role=status] .notice", "“"+product.SessionCookie+"”").wantPart("[role=status] .notice", "SESSION_COOKIE")
		b.logIn(p, "").wantRedirect("/profile")
	}
}

func TestACookieOfAnotherProgramIsSaidToBeOne(t *testing.T) {
	w, _, b := withMember(t, embedded, options{cookie: "kelp"})
	for cookie, want := range map[string]bool{"kelp=eyJhIjoxfQ.x.y": true, "kelp=": false, "kelp=" + b.token(): false, "session=eyJhIjoxfQ.x.y": false} {
		page := w.bare("GET", "/login", "", "Cookie: "+cookie)
		if page.status == http.StatusSeeOther {
			continue // the cookie is a member's
		}
		said := page.text("main .notice")
		if strings.Contains(said, "Another program on this host also uses a cookie named “kelp”.") != want {
			t.Errorf("with %s the login page says %q", cookie, said)
		}
	}
}

func TestPagesShowTheConfiguredCookieName(t *testing.T) {
	w := parallelWorld(t, embedded, options{learn: true, cookie: "kelp"})
	b := w.member(w.person("Ada"))
	for path, want := range map[string]string{"/explain": "kelp=", "/why": "__Host-kelp"} {
		b.get(path).want(http.StatusOK).wantPart("main", want).wantNoPart("main", "session=").wantNoPart("main", "__Host-session")
	}
}
