package web_test

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/account"
	"holdfast/internal/dev/require"
	"holdfast/internal/learn/attack"
	"holdfast/web"
)

// The contract of the matrix, for every route:
//
//   - A GET changes no stored data, no matter who sends it and from where.
//   - A POST that another site makes a browser send (forged) gets 403 and changes
//     no stored data: no row, no session, not even a flash message.
//   - Every other request gets the response in its row, for a guest and a member.
//
// A GET without a row is a page for members: a member gets 200, and a guest is
// redirected to the login and back. So a new page needs a row only if it is open to
// guests or is a form's target.

// row is the expected response of one route, as "status" or "status location".
type row struct {
	path string // set if the route's own is a pattern
	// form returns a valid form. It may create what the form is about, such as another
	// device to log out.
	form          func(w *world, who *browser, p person) url.Values
	guest, member string
	empty         string // for an empty form, from the role that gets furthest
	optional      string // further fields that the form may have, separated by spaces
}

// fields returns a function that builds a form from names and values.
func fields(pairs ...string) func(*world, *browser, person) url.Values {
	return func(*world, *browser, person) url.Values {
		form := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			form.Set(pairs[i], pairs[i+1])
		}
		return form
	}
}

// moreRows has a method for each page whose rows are next to its own tests. Each
// returns a map[string]row.
type moreRows struct{}

// rows returns every route of the site that is open to guests, and every form's target.
// HEAD responds as GET does.
func rows(w *world) map[string]row {
	open := row{guest: "200", member: "200"}
	sheet := w.browser().get("/").doc().Find("link[rel=stylesheet]").AttrOr("href", "")
	clinic := fmt.Sprintf("303 /lab/cookies?tried=%d#results", w.clock.Now().Unix())
	all := map[string]row{
		"GET /healthz":     open,
		"GET /readyz":      open,
		"GET /favicon.ico": open,
		"GET /static/*":    {guest: "200", member: "200", path: sheet},

		"GET /robots.txt":           open,
		"GET /site.webmanifest":     open,
		"GET /icon.svg":             open,
		"GET /apple-touch-icon.png": open,
		"GET /social.png":           open,
		"GET /atkinson-hyperlegible-next-2.001-latin.woff2":     open,
		"GET /atkinson-hyperlegible-next-2.001-latin-ext.woff2": open,

		"GET /":         open,
		"GET /register": {guest: "200", member: "303 /profile"},
		"POST /register": {guest: "303 /profile", member: "303 /profile", empty: "422", optional: "next remember", form: func(w *world, _ *browser, _ person) url.Values {
			return signUpForm(fmt.Sprintf("bea%d@kelp.example", w.people.Add(1)), otherPassword)
		}},
		"GET /login": {guest: "200", member: "303 /profile"},
		"POST /login": {guest: "303 /profile", member: "303 /profile", empty: "422", optional: "next remember", form: func(_ *world, _ *browser, p person) url.Values {
			return credentials(p.email, p.password)
		}},
		"POST /logout":  {guest: "303 /login", member: "303 /login", empty: "303 /login", form: fields()},
		"GET /session":  open,
		"POST /session": {guest: "303 /session", member: "303 /session", empty: "422", optional: "action", form: fields("key", "colour", "value", "green")},

		"GET /explain":        open,
		"GET /explain/recent": open,

		"POST /devices/end": {guest: "303 /login?next=%2Fdevices", member: "303 /devices", empty: "404", form: func(w *world, who *browser, p person) url.Values {
			if who.token() == "" {
				return url.Values{"id": {"x"}}
			}
			others := who.otherDevices()
			if len(others) == 0 {
				w.member(p)
				others = who.otherDevices()
			}
			return url.Values{"id": {others[0]}}
		}},
		"POST /devices/end-others": {guest: "303 /login?next=%2Fdevices", member: "303 /devices", empty: "303 /devices", form: fields()},
		"POST /account/name":       {guest: "303 /login?next=%2Faccount", member: "303 /account", empty: "422", form: fields("name", "Ada Lovelace")},

		"POST /account/confirm":            {guest: "303 /login?next=%2Faccount", member: "303 /account", empty: "303 /account", form: fields()},
		"GET /account/password":            {guest: "303 /login?next=%2Faccount%2Fpassword", member: "200"},
		"GET /.well-known/change-password": {guest: "303 /account/password", member: "303 /account/password"},
		"POST /account/password": {guest: "303 /login?next=%2Faccount%2Fpassword", member: "303 /account", empty: "422", form: func(_ *world, _ *browser, p person) url.Values {
			return url.Values{"current": {p.password}, "new": {otherPassword}}
		}},
		"GET /account/email":   {guest: "303 /login?next=%2Faccount%2Femail", member: "200"},
		"POST /account/email":  {guest: "303 /login?next=%2Faccount%2Femail", member: "303 /account", empty: "422", form: fields("email", "other@kelp.example")},
		"GET /account/history": {guest: "303 /login?next=%2Faccount%2Fhistory", member: "200"},
		"GET /account/proof":   {guest: "303 /login?next=%2Faccount%2Fproof", member: "200"},
		"POST /account/proof": {guest: "303 /login?next=%2Faccount%2Fproof", optional: "next", member: "303 /account", empty: "422", form: func(_ *world, _ *browser, p person) url.Values {
			return url.Values{"password": {p.password}}
		}},
		"GET /account/export": {guest: "303 /login?next=%2Faccount%2Fexport", member: "200"},
		"GET /account/delete": {guest: "303 /login?next=%2Faccount%2Fdelete", member: "200"},
		"POST /account/delete": {guest: "303 /login?next=%2Faccount%2Fdelete", member: "303 /", empty: "422", form: func(_ *world, _ *browser, p person) url.Values {
			return url.Values{"email": {p.email}}
		}},

		"GET /forgot":  {guest: "200", member: "200"},
		"POST /forgot": {guest: "303 /login", member: "303 /login", empty: "422", form: fields("email", "nobody@kelp.example")},
		"GET /reset":   {guest: "410", member: "410"},
		"POST /reset": {guest: "303 /login", member: "303 /login", empty: "410", form: func(w *world, _ *browser, p person) url.Values {
			return url.Values{"token": {w.link(account.PurposeReset, p)}, "password": {"quiet harbours freeze " + rand.Text()}}
		}},
		"GET /verify": {guest: "410", member: "410"},
		"POST /verify": {guest: "303 /login", member: "303 /account", empty: "410", form: func(w *world, _ *browser, p person) url.Values {
			return url.Values{"token": {w.link(account.PurposeConfirm, p)}}
		}},
		"GET /mail": {guest: "200", member: "200"},

		"GET /why":              open,
		"POST /why/second":      {guest: "303 /why#second", member: "303 /why#second", empty: "303 /why#second", form: fields("guess", "")},
		"POST /why/second/stop": {guest: "303 /why#second", member: "303 /why#second", empty: "303 /why#second", form: fields()},

		"GET /lab":          open,
		"GET /lab/check":    open,
		"GET /lab/cookies":  open,
		"POST /lab/cookies": {guest: clinic, member: clinic, empty: clinic, form: fields()},
		"GET /lab/expire":   open,
		"POST /lab/expire":  {guest: "303 /lab/expire", member: "303 /lab/expire", empty: "303 /lab/expire", form: fields()},
		"GET /lab/wait":     {guest: "303 /lab", member: "303 /lab"},
		"POST /lab/restart": {
			guest: "303 /lab/wait?from=1&had=none&try=1", member: "303 /lab/wait?from=1&had=member&try=1",
			empty: "303 /lab/wait?from=1&had=member&try=1", form: fields("guess", ""),
		},
		"GET /lab/attacks": open,
		"POST /lab/attacks/:name": {
			path: "/lab/attacks/replay", guest: "303 /lab/attacks?shown=replay#replay", member: "303 /lab/attacks?shown=replay#replay", empty: "303 /lab/attacks?shown=replay#replay", form: fields("shown", "", "guess", "", "all", ""),
		},
		"POST " + attack.SlowPath: {guest: "303 /login?next=%2Flab%2Fattacks", member: "204", empty: "204", form: fields("wait", "0")},
		"POST /lab/check":         {guest: "303 /lab#stores", member: "303 /lab#stores", empty: "303 /lab#stores", form: fields()},
	}
	more := reflect.ValueOf(moreRows{})
	for i := range more.NumMethod() {
		maps.Copy(all, more.Method(i).Call(nil)[0].Interface().(map[string]row))
	}
	for _, route := range w.site.Routes() {
		if _, known := all[route]; !known && strings.HasPrefix(route, "GET ") {
			all[route] = row{guest: "303 /login?next=" + url.QueryEscape(route[len("GET "):]), member: "200"}
		}
	}
	return all
}

// forms returns the fields of every form of the site, by path, with values that would
// be accepted from this person's browser.
func forms(w *world, who *browser, p person) map[string]url.Values {
	all := map[string]url.Values{}
	for route, r := range rows(w) {
		if r.form == nil {
			continue
		}
		fields := r.form(w, who, p)
		if !namesItsAccount(r.at(route)) {
			fields.Set("account", web.AccountValue(p.id))
		}
		for _, name := range strings.Fields(r.optional) {
			fields.Set(name, "on")
		}
		all[r.at(route)] = fields
	}
	return all
}

// origin is the headers with which a browser, or another client, states where a request
// comes from, and whether a request that changes something is then refused.
type origin struct {
	headers []string
	refused bool
}

func origins(own string) map[string]origin {
	return map[string]origin{
		"same-origin":                  {[]string{"Sec-Fetch-Site: same-origin", "Origin: " + own}, false},
		"typed by hand":                {[]string{"Sec-Fetch-Site: none"}, false},
		"own Origin alone":             {[]string{"Origin: " + own}, false},
		"neither header":               {nil, false},
		"cross-site":                   {[]string{"Sec-Fetch-Site: cross-site", "Origin: https://e.example"}, true},
		"cross-site without an Origin": {[]string{"Sec-Fetch-Site: cross-site"}, true},
		"same-site":                    {[]string{"Sec-Fetch-Site: same-site", "Origin: http://sibling.127.0.0.1.example"}, true},
		"foreign Origin alone":         {[]string{"Origin: https://e.example"}, true},
		"null Origin alone":            {[]string{"Origin: null"}, true},
		"own host on another port":     {[]string{"Origin: http://127.0.0.1:1"}, true},
		"an unknown word":              {[]string{"Sec-Fetch-Site: friend", "Origin: https://e.example"}, true},
	}
}

func TestEveryRouteAnswersEachRoleAndRefusesForgery(t *testing.T) {
	w := parallelWorld(t, embedded, options{learn: true})
	all, routes := rows(w), w.site.Routes()
	p := w.person("Ada")
	roles := map[string]*browser{"a guest": w.browser(), "a member": w.member(p)}
	w.member(p) // another device
	for _, route := range routes {
		r, known := all[strings.Replace(route, "HEAD ", "GET ", 1)]
		if !known {
			t.Errorf("the route %q has no row: add one to rows in web/matrix_test.go, or by a method of moreRows, with a good form and what a guest and a member are answered", route)
			continue
		}
		bodies := map[string]string{} // built first: a form may need something to exist
		for role, b := range roles {
			bodies[role] = r.body(w, route, b, p)
		}
		before := w.everything()
		for from, origin := range origins(w.base.String()) {
			for role, b := range roles {
				if r.form == nil {
					r.try(w, route, role, from, b, p, origin.headers)
				} else if origin.refused {
					r.send(w, route, b, bodies[role], origin.headers).want(http.StatusForbidden).wantNoCookie().wantErrorPage()
				}
			}
		}
		w.wantUnchanged(before, route+", forged or only looking", "links") // which the forms need
	}
	for _, route := range routes {
		for from, origin := range origins(w.base.String()) {
			if r := all[route]; r.form != nil && !origin.refused {
				// A new person sends each request that changes something.
				who := w.person("Bea")
				r.try(w, route, "a guest", from, w.browser(), who, origin.headers)
				r.try(w, route, "a member", from, w.member(who), who, origin.headers)
			}
		}
		if r := all[route]; r.form != nil {
			if got := w.member(w.person("Cleo")).post(r.at(route), nil).brief(); got != r.empty {
				t.Errorf("%s by a member with an empty form: %s, want %s", route, got, r.empty)
			}
		}
	}
	for route := range all {
		if !slices.Contains(routes, route) {
			t.Errorf("the row %q is of no route", route)
		}
	}
}

// try sends the request and checks that the response is the row's.
func (r row) try(w *world, route, role, from string, b *browser, p person, headers []string) {
	w.t.Helper()
	want := map[string]string{"a guest": r.guest, "a member": r.member}[role]
	if got := r.send(w, route, b, r.body(w, route, b, p), headers).brief(); got != want {
		w.t.Errorf("%s as %s, %s: %s, want %s (rows in web/matrix_test.go say so; a GET without one is for members)", route, role, from, got, want)
	}
}

func (r row) send(w *world, route string, b *browser, body string, headers []string) *answer {
	w.t.Helper()
	method, _, _ := strings.Cut(route, " ")
	return b.send(method, r.at(route), body, append([]string{"Content-Type: " + urlencoded}, headers...)...)
}

func (r row) at(route string) string {
	_, path, _ := strings.Cut(route, " ")
	return cmp.Or(r.path, path)
}

func (r row) body(w *world, route string, who *browser, p person) string {
	if r.form == nil {
		return ""
	}
	form := r.form(w, who, p)
	switch {
	case namesItsAccount(route):
	case who.token() != "":
		form.Set("account", web.AccountValue(p.id))
	case !strings.HasPrefix(r.guest, "303 /login?"):
		form.Set("account", web.AccountValue("")) // a page that guests see
	}
	return form.Encode()
}

// namesItsAccount reports whether a form itself says, by what is typed or by an emailed
// link, which account it is about. Every other form carries the account that its page
// was shown for.
func namesItsAccount(route string) bool {
	return slices.Contains([]string{"/register", "/login", "/forgot", "/reset", "/verify"}, strings.TrimPrefix(route, "POST "))
}

// brief returns the status and where the response leads, without the key, which is
// random.
func (a *answer) brief() string {
	to, _, _ := strings.Cut(a.leadsTo(), "?key=")
	return strings.TrimSpace(fmt.Sprint(a.status, " ", to))
}

// link returns the token of a link as an email would contain it.
func (w *world) link(purpose account.Purpose, p person) string {
	w.t.Helper()
	token, err := w.accounts.MakeLink(w.t.Context(), purpose, p.id, p.email)
	require.NoError(w.t, err)
	return token
}

// otherDevices returns the IDs of the person's sessions on other devices, from the
// page.
func (b *browser) otherDevices() []string {
	b.w.t.Helper()
	var ids []string
	for _, input := range b.get("/devices").want(http.StatusOK).doc().Find("form[action='/devices/end'] input[name=id]").EachIter() {
		ids = append(ids, input.AttrOr("value", ""))
	}
	return ids
}
