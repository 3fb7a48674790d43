package web_test

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"holdfast/internal/account"
	"holdfast/internal/learn/attack"
)

// row says what one route answers, as "status" or "status where it leads".
type row struct {
	path          string // where the route's own is a pattern
	form          func(w *world, who *browser, p person) url.Values
	guest, member string
	empty         string // to whoever gets furthest, for a form with nothing in it
}

// rows is every route of the site. HEAD answers as GET does.
func rows(w *world) map[string]row {
	fields := func(pairs ...string) func(*world, *browser, person) url.Values {
		return func(*world, *browser, person) url.Values {
			form := url.Values{}
			for i := 0; i < len(pairs); i += 2 {
				form.Set(pairs[i], pairs[i+1])
			}
			return form
		}
	}
	sheet := w.browser().get("/").doc().Find("link[rel=stylesheet]").AttrOr("href", "")
	return map[string]row{
		"GET /healthz":     {guest: "200", member: "200"},
		"GET /readyz":      {guest: "200", member: "200"},
		"GET /favicon.ico": {guest: "200", member: "200"},
		"GET /static/*":    {guest: "200", member: "200", path: sheet},

		"GET /":         {guest: "200", member: "200"},
		"GET /register": {guest: "200", member: "303 /profile"},
		"POST /register": {guest: "303 /profile", member: "303 /profile", empty: "422", form: func(w *world, _ *browser, _ person) url.Values {
			return url.Values{"name": {"Bea"}, "email": {fmt.Sprintf("bea%d@kelp.example", w.people.Add(1))}, "password": {"quiet harbours freeze late"}}
		}},
		"GET /login": {guest: "200", member: "303 /profile"},
		"POST /login": {guest: "303 /profile", member: "303 /profile", empty: "422", form: func(_ *world, _ *browser, p person) url.Values {
			return url.Values{"email": {p.email}, "password": {p.password}}
		}},
		"POST /logout":  {guest: "303 /login", member: "303 /login", empty: "303 /login", form: fields()},
		"GET /session":  {guest: "200", member: "200"},
		"POST /session": {guest: "303 /session", member: "303 /session", empty: "422", form: fields("key", "colour", "value", "green")},

		"GET /explain":        {guest: "200", member: "200"},
		"GET /explain/recent": {guest: "200", member: "200"},

		"GET /profile": {guest: "303 /login?next=%2Fprofile", member: "200"},
		"GET /devices": {guest: "303 /login?next=%2Fdevices", member: "200"},
		"POST /devices/end": {guest: "303 /login", member: "303 /devices", empty: "404", form: func(w *world, who *browser, p person) url.Values {
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
		"POST /devices/end-others": {guest: "303 /login", member: "303 /devices", empty: "303 /devices", form: fields()},
		"GET /account":             {guest: "303 /login?next=%2Faccount", member: "200"},
		"POST /account/name":       {guest: "303 /login", member: "303 /account", empty: "422", form: fields("name", "Ada Lovelace")},

		"POST /account/confirm":            {guest: "303 /login", member: "303 /account", empty: "303 /account", form: fields()},
		"GET /account/password":            {guest: "303 /login?next=%2Faccount%2Fpassword", member: "200"},
		"GET /.well-known/change-password": {guest: "303 /account/password", member: "303 /account/password"},
		"POST /account/password": {guest: "303 /login", member: "303 /account", empty: "422", form: func(_ *world, _ *browser, p person) url.Values {
			return url.Values{"current": {p.password}, "new": {"quiet harbours freeze late"}}
		}},
		"GET /account/email":   {guest: "303 /login?next=%2Faccount%2Femail", member: "200"},
		"POST /account/email":  {guest: "303 /login", member: "303 /account", empty: "422", form: fields("email", "other@kelp.example")},
		"GET /account/history": {guest: "303 /login?next=%2Faccount%2Fhistory", member: "200"},
		"GET /account/proof":   {guest: "303 /login?next=%2Faccount%2Fproof", member: "200"},
		"POST /account/proof": {guest: "303 /login", member: "303 /account", empty: "422", form: func(_ *world, _ *browser, p person) url.Values {
			return url.Values{"password": {p.password}}
		}},
		"GET /account/export":  {guest: "303 /login?next=%2Faccount%2Fexport", member: "200"},
		"GET /account/delete":  {guest: "303 /login?next=%2Faccount%2Fdelete", member: "200"},
		"POST /account/delete": {guest: "303 /login", member: "303 /", empty: "303 /", form: fields()},

		"GET /forgot":  {guest: "200", member: "200"},
		"POST /forgot": {guest: "303 /login", member: "303 /login", empty: "422", form: fields("email", "nobody@kelp.example")},
		"GET /reset":   {guest: "410", member: "410"},
		"POST /reset": {guest: "303 /login", member: "303 /login", empty: "410", form: func(w *world, _ *browser, p person) url.Values {
			return url.Values{"token": {w.link(account.PurposeReset, p)}, "password": {"quiet harbours freeze late"}}
		}},
		"GET /verify": {guest: "410", member: "410"},
		"POST /verify": {guest: "303 /login", member: "303 /account", empty: "410", form: func(w *world, _ *browser, p person) url.Values {
			return url.Values{"token": {w.link(account.PurposeConfirm, p)}}
		}},
		"GET /mail": {guest: "200", member: "200"},

		"GET /lab":      {guest: "200", member: "200"},
		"GET /lab/wait": {guest: "303 /lab", member: "303 /lab"},
		"POST /lab/restart": {
			guest: "303 /lab/wait?from=1&had=none&try=1", member: "303 /lab/wait?from=1&had=member&try=1",
			empty: "303 /lab/wait?from=1&had=member&try=1", form: fields(),
		},
		"GET /lab/attacks": {guest: "200", member: "200"},
		"POST /lab/attacks/:name": {
			path: "/lab/attacks/replay", guest: "303 /lab/attacks#replay", member: "303 /lab/attacks#replay", empty: "303 /lab/attacks#replay", form: fields(),
		},
		"POST " + attack.SlowPath: {guest: "303 /login", member: "204", empty: "204", form: fields("wait", "0")},
		"POST /lab/check":         {guest: "303 /lab#stores", member: "303 /lab#stores", empty: "303 /lab#stores", form: fields()},
	}
}

// origins are what a browser, or something else, says of where a request comes
// from, and whether one that changes something is let in.
func origins(own string) map[string]struct {
	headers []string
	refused bool
} {
	return map[string]struct {
		headers []string
		refused bool
	}{
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
	w := newWorld(t, embedded(t), options{learn: true})
	all, routes := rows(w), w.site.Routes()
	p := w.person("Ada")
	roles := map[string]*browser{"a guest": w.browser(), "a member": w.member(p)}
	w.member(p) // another device
	for _, route := range routes {
		r, known := all[strings.Replace(route, "HEAD ", "GET ", 1)]
		if !known {
			t.Errorf("the route %q is in no row of this test", route)
			continue
		}
		before := w.everything()
		for from, origin := range origins(w.base.String()) {
			for role, b := range roles {
				if r.form == nil {
					r.try(w, route, role, from, b, p, origin.headers)
				} else if origin.refused {
					r.send(w, route, b, p, origin.headers).want(http.StatusForbidden).wantNoCookie().wantErrorPage()
				}
			}
		}
		w.wantUnchangedBut(before, route+", forged or only looking", "links") // which the forms need
	}
	for _, route := range routes {
		for from, origin := range origins(w.base.String()) {
			if r := all[route]; r.form != nil && !origin.refused {
				// What changes something is tried by someone new each time.
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

// try sends the request and looks whether the answer is the row's.
func (r row) try(w *world, route, role, from string, b *browser, p person, headers []string) {
	w.t.Helper()
	want := map[string]string{"a guest": r.guest, "a member": r.member}[role]
	if got := r.send(w, route, b, p, headers).brief(); got != want {
		w.t.Errorf("%s as %s, %s: %s, want %s", route, role, from, got, want)
	}
}

func (r row) send(w *world, route string, b *browser, p person, headers []string) *answer {
	w.t.Helper()
	method, _, _ := strings.Cut(route, " ")
	request := b.request(method, r.at(route), strings.NewReader(r.body(w, b, p)))
	request.Header.Set("Content-Type", urlencoded)
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		request.Header.Set(name, value)
	}
	return b.do(request)
}

func (r row) at(route string) string {
	_, path, _ := strings.Cut(route, " ")
	return cmp.Or(r.path, path)
}

func (r row) body(w *world, who *browser, p person) string {
	if r.form == nil {
		return ""
	}
	return r.form(w, who, p).Encode()
}

// brief is the status and where the answer leads.
func (a *answer) brief() string {
	return strings.TrimSpace(fmt.Sprint(a.status, " ", a.header.Get("Location")))
}

// link is the token of a link that a mail would bring.
func (w *world) link(purpose account.Purpose, p person) string {
	w.t.Helper()
	token, err := w.accounts.MakeLink(w.t.Context(), purpose, p.id, p.email)
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

// otherDevices are the ids of the person's sessions on other devices, as the
// page has them.
func (b *browser) otherDevices() []string {
	b.w.t.Helper()
	var ids []string
	for _, input := range b.get("/devices").want(http.StatusOK).doc().Find("form[action='/devices/end'] input[name=id]").EachIter() {
		ids = append(ids, input.AttrOr("value", ""))
	}
	return ids
}
