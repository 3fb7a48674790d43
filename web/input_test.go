package web_test

import (
	"bytes"
	"fmt"
	"maps"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"holdfast/internal/product"
)

func TestABodyThatIsNoFormOfTheSiteIsRefusedAndStoresNothing(t *testing.T) {
	w, p, b := withMember(t, embedded, options{learn: true})
	tried := forms(w, b, p)
	before := w.everything()
	for path, good := range tried {
		for what, c := range badBodies(good) {
			r := b.request(http.MethodPost, path, strings.NewReader(c.body))
			r.Header["Content-Type"] = c.contentType
			page := b.do(r)
			if page.status != c.status {
				t.Errorf("POST %s with %s: %d, want %d", path, what, page.status, c.status)
			}
			page.wantNoCookie().wantErrorPage()
		}
	}
	w.wantUnchanged(before, "bad bodies")
	b.get("/profile").want(http.StatusOK)
}

type badBody struct {
	contentType []string
	body        string
	status      int
}

// badBodies returns a valid form broken in each of these ways.
func badBodies(good url.Values) map[string]badBody {
	form, encoded := []string{urlencoded}, good.Encode()
	and := "&"
	if encoded == "" {
		and = ""
	}
	bad := map[string]badBody{
		"an unknown field":          {form, encoded + and + "role=admin", 400},
		"a field without a name":    {form, encoded + and + "=x", 400},
		"a broken escape":           {form, encoded + and + "a=%zz", 400},
		"a semicolon":               {form, encoded + and + "a;b", 400},
		"10,001 fields":             {form, strings.Repeat("a&", 10001), 400},
		"a megabyte":                {form, "key=" + strings.Repeat("a", 1<<20), 413},
		"a little too much":         {form, "key=" + strings.Repeat("a", 64<<10), 413},
		"JSON":                      {[]string{"application/json"}, `{"email":"a@b.c"}`, 415},
		"plain text":                {[]string{"text/plain"}, encoded, 415},
		"no content type":           {nil, encoded, 415},
		"two content types":         {[]string{urlencoded, urlencoded}, encoded, 415},
		"a content type of nothing": {[]string{""}, encoded, 415},
		"another charset":           {[]string{urlencoded + "; charset=utf-16"}, encoded, 415},
	}
	if encoded == "" {
		delete(bad, "no content type") // no body is an empty form
	}
	var multi bytes.Buffer
	parts := multipart.NewWriter(&multi)
	for name := range good {
		_ = parts.WriteField(name, good.Get(name)) // a bytes.Buffer never fails
		without := maps.Clone(good)
		without.Del(name)
		rest := without.Encode() + "&"
		bad["a doubled "+name] = badBody{form, encoded + "&" + name + "=x", 400}
		bad["NUL in "+name] = badBody{form, rest + name + "=a%00b", 400}
		bad["invalid UTF-8 in "+name] = badBody{form, rest + name + "=a%ff", 400}
		bad["a surrogate in "+name] = badBody{form, rest + name + "=%ed%a0%80", 400}
		bad[name+" as a list"] = badBody{form, rest + name + "[]=a", 400}
		bad[name+" in capitals"] = badBody{form, rest + strings.ToUpper(name) + "=a", 400}
	}
	_ = parts.Close()
	bad["multipart"] = badBody{[]string{parts.FormDataContentType()}, multi.String(), 415}
	return bad
}

func TestABodyThatBreaksOffIsTheSendersFault(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	cookie := "Cookie: " + product.SessionCookie + "=" + w.member(w.person("Ada")).token()
	before := w.everything()
	form := "Content-Type: " + urlencoded
	w.raw("POST", "/session", "key=colour&value=gr", cookie, form, "Content-Length: 100").want(http.StatusBadRequest).wantErrorPage()
	w.raw("POST", "/session", "5\r\nkey=a\r\nzz\r\n", cookie, form, "Transfer-Encoding: chunked").want(http.StatusBadRequest).wantErrorPage()
	w.raw("POST", "/session", "100000\r\n"+strings.Repeat("a", 0x100000)+"\r\n0\r\n\r\n", cookie, form, "Transfer-Encoding: chunked").
		want(http.StatusRequestEntityTooLarge).wantErrorPage()
	w.wantUnchanged(before, "bodies that break off")
}

func TestTheAddressNeverStandsInForTheForm(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	p := w.person("Ada")
	tried := forms(w, w.member(p), p)
	before := w.everything()
	for path, good := range tried {
		if good.Del("account"); len(good) == 0 {
			continue
		}
		page := w.member(p).post(path+"?"+good.Encode(), nil)
		if page.status < 400 || page.status >= 500 {
			t.Errorf("POST %s with the fields in the address: %s", path, page.brief())
		}
	}
	for key, value := range w.everything() {
		if strings.HasPrefix(key, "table people") && before[key] != value {
			t.Errorf("%s became %s", key, value)
		}
	}
}

// The forms that pages show and the rows of the matrix have the same fields.
func TestEveryFormThatAPageShowsIsTriedWithAllItsFields(t *testing.T) {
	w, p, member := withMember(t, embedded, options{learn: true})
	w.member(p)
	tried := forms(w, member, p)
	for _, b := range []*browser{w.browser(), member} {
		for path, page := range b.crawl() {
			for _, form := range page.doc().Find("form").EachIter() {
				action, _, _ := strings.Cut(form.AttrOr("action", path), "#")
				if strings.HasPrefix(action, "/lab/attacks/") {
					action = "/lab/attacks/replay" // one of a pattern
				}
				fields, known := tried[action]
				if !known {
					t.Errorf("%s has a form for %s, which no row of rows in web/matrix_test.go has a good form for", path, action)
					continue
				}
				for _, field := range form.Find(fieldSelector).EachIter() {
					if name := field.AttrOr("name", ""); fields[name] == nil {
						t.Errorf("the form for %s on %s has the field %q: add it to the row's form, or to optional, in web/matrix_test.go", action, path, name)
					}
				}
			}
		}
	}
}

// A refused form still has what the user typed, except passwords.
func TestAFormThatIsRefusedKeepsWhatWasTyped(t *testing.T) {
	w := parallelWorld(t, embedded, options{learn: true})
	p := w.person("Ada")
	tooMuch := strings.TrimSpace(strings.Repeat("kelp ", 2000))
	refused := 0
	for route, r := range rows(w) {
		if r.empty != "422" {
			continue
		}
		b := w.member(p)
		if r.guest == "200" || strings.HasPrefix(r.guest, "303 /profile") {
			b = w.browser()
		}
		fields := r.form(w, b, p)
		for name := range fields {
			fields.Set(name, tooMuch)
		}
		refused++
		page := b.post(r.at(route), fields).want(http.StatusUnprocessableEntity)
		form := page.doc().Find("form[action='" + r.at(route) + "'].form")
		for _, field := range form.Find(fieldSelector).EachIter() {
			name := field.AttrOr("name", "")
			if fields[name] == nil || field.AttrOr("type", "") == "hidden" {
				continue
			}
			want := tooMuch
			if field.AttrOr("type", "") == "password" {
				want = ""
			}
			if got := valueOf(field); got != want {
				t.Errorf("%s: the field %s comes back with %.20q, want %.20q: give its template the value that was sent", route, name, got, want)
			}
		}
	}
	if refused < 3 {
		t.Errorf("only %d forms are refused", refused)
	}
}

func TestWhatAPersonCanMendIsSaidAtTheField(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	p := w.person("Ada")
	before := w.everything()
	for _, c := range []struct {
		name, email string
		field       string
	}{
		{"", "bea@kelp.example", "name"},
		{" \t ", "bea@kelp.example", "name"},
		{strings.Repeat("é", 121), "bea@kelp.example", "name"},
		{"Bea\nBea", "bea@kelp.example", "name"},
		{"Bea\x1b[31m", "bea@kelp.example", "name"},
		{"\u202eaeB", "bea@kelp.example", "name"},
		{"\u200b", "bea@kelp.example", "name"},
		{"Bea", "", "email"},
		{"Bea", "bea", "email"},
		{"Bea", "bea@", "email"},
		{"Bea", "@kelp.example", "email"},
		{"Bea", "bea@kelp@example", "email"},
		{"Bea", "be a@kelp.example", "email"},
		{"Bea", "bea@kelp.example\r\nBcc: all@kelp.example", "email"},
		{"Bea", "bea\u200b@kelp.example", "email"},
		{"Bea", strings.Repeat("b", 250) + "@k.example", "email"},
		{"Bea", strings.ToUpper(p.email), "email"},
		{"Bea", "  " + p.email + "  ", "email"},
	} {
		page := w.browser().register(c.name, c.email, otherPassword).want(http.StatusUnprocessableEntity).wantNoCookie()
		input := "input#" + c.field + "[aria-invalid=true][aria-describedby*=" + c.field + "-error]"
		if page.text("#"+c.field+"-error") == "" || page.count(input) != 1 || page.text(".errors a[href='#"+c.field+"']") == "" {
			t.Errorf("%.30q <%.40q>: nothing said at the field %s", c.name, c.email, c.field)
		}
	}
	w.sql(`DELETE FROM history WHERE event = 'log_in_failed'`) // two were logins
	w.wantUnchanged(before, "forms to mend")
}

// markup is text that becomes something else on a page that does not escape it.
var markup = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onfocus='alert(1)`, `</title><script>alert(1)</script>`,
	`{{.}}{{template "x"}}`, `<svg/onload=alert(1)>`, `javascript:alert(1)`, `&lt;b&gt;&#x3c;b&#x3e;`, `</main><h1>x</h1>`, "`${alert(1)}`", `<!-- x`, `%3Cscript%3E`,
	`'; DROP TABLE people; --`, `=cmd|' /C calc'!A0`, `🦭 é ع`,
}

func TestMarkupStaysText(t *testing.T) {
	w := parallelWorld(t, embedded, options{learn: true})
	for i, text := range markup {
		p := w.person(text)
		b := w.member(p)
		b.get("/profile").want(http.StatusOK).wantText("h1", "Hello, "+text+"!").wantText(".person", text)
		b.get("/").want(http.StatusOK).wantText("h1", "Hello, "+text+"!")
		b.set(text, text).wantRedirect("/session")
		if got := b.get("/session").shown()[text]; got != text {
			t.Errorf("the value %q is shown as %q", text, got)
		}
		if got := b.session(); got.Values[text] != text || got.Member.Name != text {
			t.Errorf("as JSON %q is %+v", text, got)
		}
		b.submit(b.get("/account"), "form[action='/account/name']", map[string]string{"name": text + "."}).wantRedirect("/account")
		b.post("/session", url.Values{"key": {strings.Repeat(text, 65)}, "value": {text}}).want(422).wantValue("input#value", text)
		guest := w.browser()
		guest.agent = strings.ToValidUTF8(text, "")
		guest.logIn(person{email: text, password: "not anybody's, this one"}, "").want(422).wantValue("input#email", text)
		guest.register(text, text, "").want(422).wantValue("input#name", text)
		// The list of devices shows what browsers call themselves.
		if i < 3 { // each costs a password hash
			guest.post("/login", credentials(p.email, p.password)).wantRedirect("/profile")
			guest.get("/devices").want(http.StatusOK)
		}
		guest.get("/" + url.PathEscape(text)).want(http.StatusNotFound).wantErrorPage()
	}
}

func TestFiftySignUpsOfOneAddressMakeOneAccount(t *testing.T) {
	onBothStacks(t, func(t *testing.T, w *world) {
		const tries = 50
		answers := make(chan *answer, tries)
		for i := range tries {
			email := []byte("ada@kelp.example")
			for bit := range 6 { // in mixed case
				if at := []int{0, 1, 2, 4, 5, 6}[bit]; i>>bit&1 == 1 {
					email[at] = strings.ToUpper(string(email[at]))[0]
				}
			}
			body := url.Values{"name": {fmt.Sprint("Ada ", i)}, "email": {string(email)}, "password": {fmt.Sprint("quiet harbours freeze late ", i)}}.Encode()
			go func() { answers <- w.bare("POST", "/register", body, "Content-Type: "+urlencoded) }()
		}
		made := 0
		for range tries {
			switch a := <-answers; a.status {
			case http.StatusSeeOther:
				made++
				a.cookie(product.SessionCookie)
			case http.StatusUnprocessableEntity:
				a.wantNoCookie()
				if !strings.HasPrefix(a.text("#email-error"), "There is already an account with this email address.") {
					t.Errorf("the others get %q", a.text("main"))
				}
			default:
				t.Errorf("a sign-up answered %d", a.status)
			}
		}
		if people, sessions := w.rows(`SELECT email_key FROM people`), w.sessionKeys(); made != 1 || len(people) != 1 || len(sessions) != 1 {
			t.Errorf("%d got the answer that they registered; people %q, sessions %q", made, people, sessions)
		}
	})
}
