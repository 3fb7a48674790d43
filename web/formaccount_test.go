package web_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"holdfast/internal/account"
	"holdfast/internal/session"
	"holdfast/web"
)

// wantForms checks that every form of a page carries the account of id ("" for a
// guest), except those that name their account themselves. It returns the URLs that the
// forms are sent to.
func (a *answer) wantForms(id string) (actions []string) {
	a.t.Helper()
	for _, form := range a.doc().Find("form").EachIter() {
		action := form.AttrOr("action", "")
		if !strings.EqualFold(form.AttrOr("method", ""), "post") {
			a.fault("the form for %q is not sent by POST", action)
		}
		actions = append(actions, action)
		carried := form.Find("input[name=account]")
		switch value := carried.AttrOr("value", ""); {
		case namesItsAccount(action):
			if carried.Length() != 0 {
				a.fault("the form for %s names its account itself, and carries %q too", action, value)
			}
		case carried.Length() != 1 || carried.AttrOr("type", "") != "hidden" || value != web.AccountValue(id):
			a.fault("the form for %s carries the account %q, want %q: put {{template \"account\" $.Layout.Account}} into it", action, value, web.AccountValue(id))
		}
	}
	return actions
}

func TestEveryFormCarriesTheAccountItIsShownFor(t *testing.T) {
	w := parallelWorld(t, embedded, options{learn: true, mail: true})
	w.site.AddPage("/test/away", func(echo.Context, *session.Session) error { return account.ErrUnavailable })
	p := w.person("Ada")
	member, guest := w.member(p), w.browser()
	w.member(p) // another device
	for _, b := range []*browser{guest, member} {
		b.set("colour", "green").wantRedirect("/session")
	}
	for id, b := range map[string]*browser{"": guest, p.id: member} {
		seen := map[string]bool{}
		look := func(page *answer) {
			t.Helper()
			for _, action := range page.wantForms(id) {
				seen[action] = true
			}
		}
		for _, page := range b.crawl() {
			look(page)
		}
		look(b.get("/verify?token=" + w.link(account.PurposeConfirm, p)).want(http.StatusOK))
		look(b.get("/reset?token=" + w.link(account.PurposeReset, p)).want(http.StatusOK))
		// Error pages have the header, and so the logout form.
		errors := []*answer{
			b.get("/none").want(http.StatusNotFound),
			b.get("/test/away").want(http.StatusServiceUnavailable),
			b.post("/session", url.Values{"key": {""}, "value": {"x"}}).want(http.StatusUnprocessableEntity),
			b.post("/session", url.Values{"account": {"another"}}).want(http.StatusConflict),
			b.post("/session", url.Values{"nome": {"x"}}).want(http.StatusBadRequest),
		}
		if id != "" {
			errors = append(errors,
				b.post("/account/delete", nil).want(http.StatusUnprocessableEntity),
				b.post("/account/name", nil).want(http.StatusUnprocessableEntity),
				b.post("/devices/end", url.Values{"id": {"none"}}).want(http.StatusNotFound))
		}
		for _, page := range errors {
			look(page)
			if logOut := page.count("header form[action='/logout']") == 1; logOut != (id != "") {
				page.fault("the header has a log-out form: %v", logOut)
			}
		}
		// TestNoTemplateHasAFormWithoutItsAccount covers all forms; a form may be shown
		// only if there is something to send.
		if least := map[bool]int{true: 8, false: 14}[id == ""]; len(seen) < least {
			t.Errorf("%d forms were found, want at least %d: %v", len(seen), least, slices.Sorted(maps.Keys(seen)))
		}
	}
}

// TestAFormActsOnTheAccountItWasShownForOrNotAtAll tries every form as another tab
// would leave it: shown for Ada or to a guest, and sent as Bert or by a guest.
func TestAFormActsOnTheAccountItWasShownForOrNotAtAll(t *testing.T) {
	w := parallelWorld(t, embedded, options{learn: true})
	all := rows(w)
	ada := w.person("Ada")
	browserSays, originSays := w.sameOrigin(), w.sameOrigin()[:1]
	const (
		other  = "You are now logged in as Bert. This page belonged to another account."
		before = "You are now logged in as Bert. This page is from before you logged in."
		left   = "You are no longer logged in. This page belonged to an account."
		silent = "The form does not say which account it belongs to. Open its page again, and send it from there."
	)
	type sent struct {
		what    string
		guest   bool // whether a guest sends it
		shown   string
		headers []string
		said    string // on the page that refuses it; "" if the response is its row's
	}
	cases := []sent{
		{"shown for Ada, sent as Bert", false, web.AccountValue(ada.id), browserSays, other},
		{"shown for Ada, sent as Bert by a program", false, web.AccountValue(ada.id), nil, other},
		{"shown for a made-up account", false, "none", browserSays, other},
		{"shown to a guest, sent as Bert", false, web.AccountValue(""), browserSays, before},
		{"without the account", false, "", browserSays, silent},
		{"without the account, with Origin alone", false, "", originSays, silent},
		{"without the account, with Sec-Fetch-Site alone", false, "", browserSays[1:], silent},
		{"without the account, by a program", false, "", nil, ""},
		{"shown for Ada, sent by a guest", true, web.AccountValue(ada.id), browserSays, left},
		{"by a guest, without the account", true, "", browserSays, silent},
		{"by a guest, without the account, with Origin alone", true, "", originSays, silent},
		{"by a guest, without the account, by a program", true, "", nil, ""},
	}
	for _, route := range w.site.Routes() {
		if !strings.HasPrefix(route, "POST ") {
			continue
		}
		r, known := all[route]
		if !known {
			t.Errorf("%s is not tried: it has no row in rows in web/matrix_test.go", route)
			continue
		}
		named, members := namesItsAccount(route), strings.HasPrefix(r.guest, "303 /login?")
		refused := func(c sent) bool { return c.said != "" && !named && !(c.guest && (members || route == "POST /logout")) }
		bert := w.person("Bert")
		senders, forms := map[bool]*browser{false: w.member(bert), true: w.browser()}, map[bool]url.Values{}
		for guest, b := range senders {
			forms[guest] = r.form(w, b, bert)
		}
		stored := w.everything()
		for _, c := range cases {
			if !refused(c) {
				continue
			}
			form := maps.Clone(forms[c.guest])
			if c.shown != "" {
				form.Set("account", c.shown)
			}
			b := senders[c.guest]
			page := b.postWith(r.at(route), form.Encode(), c.headers...)
			if page.status != http.StatusConflict || page.text("main .lead") != c.said {
				t.Errorf("%s %s: %d, %q; want 409, %q", route, c.what, page.status, page.text("main .lead"), c.said)
				continue
			}
			page.wantErrorPage().wantNoCookie()
			way := page.doc().Find("main .actions a").First()
			if to := way.AttrOr("href", ""); b.get(to).status != http.StatusOK {
				t.Errorf("%s %s: the button %q leads to %s, which answers %d", route, c.what, way.Text(), to, b.get(to).status)
			}
		}
		w.wantUnchanged(stored, route+", each time refused,")
		for _, c := range cases {
			if refused(c) || named && c.shown != "" { // such a form carries no account
				continue
			}
			bert := w.person("Bert")
			b, want := w.member(bert), r.member
			form := r.form(w, b, bert)
			if c.guest {
				b, want = w.browser(), r.guest
			}
			if c.shown != "" {
				form.Set("account", c.shown)
			}
			// A members' page redirects to the login, with what was typed if the
			// account is known.
			if got := b.postWith(r.at(route), form.Encode(), c.headers...).brief(); got != want && (!c.guest || !members || !strings.HasPrefix(got, want+"%3Faccount%3D"+c.shown)) {
				t.Errorf("%s %s: %s, want %s", route, c.what, got, want)
			}
		}
	}
}

// The account is checked before the password is requested again: that password would be
// for the other account.
func TestAnotherAccountsFormDoesNotAskForThePassword(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	ada, bert := w.person("Ada"), w.person("Bert")
	b := w.member(bert)
	w.clock.Advance(time.Hour)
	form := url.Values{"email": {bert.email}, "account": {web.AccountValue(ada.id)}}
	b.postWith("/account/delete", form.Encode(), w.sameOrigin()...).want(http.StatusConflict)
	form.Set("account", web.AccountValue(bert.id))
	b.postWith("/account/delete", form.Encode(), w.sameOrigin()...).wantRedirect("/account/proof?next=%2Faccount%2Fdelete")
}

func TestARefusedFormSaysTheNameAsText(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	const name = `Bert <b id="x">& Söhne</b> request-id-goes-here`
	b := w.member(w.person(name))
	page := b.post("/session", url.Values{"account": {"another"}, "key": {"a"}, "value": {"b"}}).want(http.StatusConflict)
	page.wantErrorPage().wantText("main .lead", "You are now logged in as "+name+". This page belonged to another account.")
	page.wantCount("#x", 0) // the name is no markup

	answer := b.postWith("/session", "account=another&key=a&value=b", asJSON).want(http.StatusConflict)
	var read struct {
		Error string
		ID    string `json:"request_id"`
	}
	if err := json.Unmarshal(answer.body, &read); err != nil || read.ID == "" {
		t.Fatalf("%s: %v", answer.body, err)
	}
	if want := "Nothing was changed. You are now logged in as " + name + ". This page belonged to another account."; read.Error != want {
		t.Errorf("as JSON: %q, want %q", read.Error, want)
	}
}

// The field's value belongs to the account, not to the session.
func TestAFormStaysValidThroughANewSessionOfTheSamePerson(t *testing.T) {
	w, p, b := withMember(t, embedded, options{})
	page := b.get("/account").want(http.StatusOK)
	rename := func(name string) {
		t.Helper()
		b.submit(page, "form[action='/account/name']", map[string]string{"name": name}).wantRedirect("/account")
	}
	b.submit(b.get("/account/proof"), "form[action='/account/proof']", map[string]string{"password": p.password}).wantRedirect("/account")
	rename("Ada after giving the password again")
	b.logOut()
	b.logIn(p, "").wantRedirect("/profile")
	rename("Ada after logging in again")
	w.restart()
	rename("Ada after a restart")
	b.get("/profile").wantText("h1", "Hello, Ada after a restart!")
}

// What Ada typed before her session ended is for her only. It is not shown if Bert logs
// in instead, nor if he does so while she is asked for her password.
func TestWhatWasTypedIsNotShownToAnotherAccount(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	ada, bert := w.person("Ada"), w.person("Bert")
	for _, c := range []struct{ page, action, field, typed, own string }{
		{"/account", "/account/name", "name", "Ada King", bert.name},
		{"/account/email", "/account/email", "email", "king@kelp.example", ""},
	} {
		form := "form[action='" + c.action + "']"
		typed := map[string]string{c.field: c.typed}

		b := w.member(ada)
		page := b.get(c.page).want(http.StatusOK)
		b.logOut()
		login := b.follow(b.submit(page, form, typed))
		sendAs := func(p person) *answer {
			return b.submit(login, "form[action='/login']", map[string]string{"email": p.email, "password": p.password})
		}
		b.follow(sendAs(bert)).want(http.StatusOK).wantValue("#"+c.field, c.own)
		// The login form names its account, in any session.
		b.follow(sendAs(ada)).want(http.StatusOK).wantValue("#"+c.field, c.typed)
		b.get("/profile").wantText("h1", "Hello, Ada!")

		if c.page != "/account/email" {
			continue
		}
		page = b.get(c.page).want(http.StatusOK)
		w.clock.Advance(time.Hour)
		asked := b.submit(page, form, typed).want(http.StatusSeeOther)
		proof := b.follow(asked)
		b.post("/login", credentials(bert.email, bert.password)).wantRedirect("/profile")
		b.submit(proof, "form[action='/account/proof']", map[string]string{"password": ada.password}).want(http.StatusConflict)
		w.clock.Advance(time.Hour)
		given := b.submit(b.follow(asked), "form[action='/account/proof']", map[string]string{"password": bert.password})
		b.follow(given).want(http.StatusOK).wantValue("#"+c.field, c.own)
	}
}
