package web_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"holdfast/internal/dev/require"
	"holdfast/internal/product"
	"holdfast/internal/session/store"
)

// explained is one step as the page explains it.
type explained struct {
	title, words   string
	facts          map[string]string // the value's code element if it has one, else the whole value
	ends           map[string]time.Time
	bytes          string
	file, function string
	lines          string // of that function
	hand           []string
}

// way returns the steps that /explain shows.
func way(page *answer) []explained {
	page.t.Helper()
	page.want(http.StatusOK)
	var steps []explained
	for _, li := range page.doc().Find("ol.path > li").EachIter() {
		s := explained{
			title: li.Find("h2").Text(), words: li.ChildrenFiltered("p").First().Text(),
			facts: map[string]string{}, ends: map[string]time.Time{},
			bytes: li.Find(".fold:not(.hand) pre").Text(),
			file:  li.Find(".source p").First().Find("code").First().Text(), function: li.Find(".source p").First().Find("code").Last().Text(),
			lines: li.Find(".source pre").First().Text(),
			hand:  li.Find(".hand pre:not(.setup)").Map(func(_ int, pre *goquery.Selection) string { return pre.Text() }),
		}
		for _, div := range li.Find("dl div").EachIter() {
			term, value := div.Find("dt").Text(), div.Find("dd")
			s.facts[term] = strings.TrimSpace(value.Text())
			if code := value.Find("code"); code.Length() > 0 {
				s.facts[term] = code.Text()
			}
			if end, err := time.Parse(time.RFC3339, div.Find(".ends time").AttrOr("datetime", "")); err == nil {
				s.ends[term] = end
			}
		}
		steps = append(steps, s)
	}
	if len(steps) == 0 {
		page.t.Fatalf("%s shows no step", page.request.URL)
	}
	return steps
}

func titles(steps []explained) []string {
	var all []string
	for _, s := range steps {
		all = append(all, s.title)
	}
	return all
}

func step(t *testing.T, steps []explained, title string) explained {
	t.Helper()
	i := slices.IndexFunc(steps, func(s explained) bool { return s.title == title })
	if i < 0 {
		t.Fatalf("no step %q in %q", title, titles(steps))
	}
	return steps[i]
}

func wantTitles(t *testing.T, what string, steps []explained, want ...string) {
	t.Helper()
	if got := titles(steps); !slices.Equal(got, want) {
		t.Errorf("%s: the steps are\n%q\nwant\n%q", what, got, want)
	}
}

func onBothLearning(t *testing.T, test func(t *testing.T, w *world, asked string)) {
	t.Helper()
	onBothStacks(t, func(t *testing.T, w *world) {
		asked := "Looked up in Redis"
		if w.stores.redis == nil {
			asked = "Looked up in the embedded Redis"
		}
		test(t, w, asked)
	})
}

func TestEveryStepIsExplained(t *testing.T) {
	onBothLearning(t, func(t *testing.T, w *world, asked string) {
		b := w.member(w.person("Ada"))
		stored := w.record(b.token())
		page := b.get("/explain").wantNoCookie().wantText("h1", "How the server knew you")
		steps := way(page)
		wantTitles(t, "a member", steps,
			"Your browser sent a cookie", "It looks like a token", "The token became a key", asked,
			"These bytes came back", "The bytes became a record", "The session was checked", "The name was found",
			"Nothing else had to be done", "Now delete the record and reload this page")

		masked := b.token()[:4] + "…" + b.token()[39:]
		for _, want := range []struct{ title, term, value string }{
			{"Your browser sent a cookie", "Cookie", product.SessionCookie + "=" + masked},
			{"The token became a key", "Key", storedUnder(b.token())},
			{asked, "Command", "GET " + storedUnder(b.token())},
			{"These bytes came back", "Size", fmt.Sprintf("%d bytes formatted below; stored without spaces or line breaks", len(stored))},
			{"The bytes became a record", "member.name", "Ada"},
			{"The bytes became a record", "member.start", strconv.FormatInt(w.process.Start, 10)},
			{"Nothing else had to be done", "Name and value", product.SessionCookie + "=" + masked},
			{"Nothing else had to be done", "HttpOnly", "no script can read it, so a script injected into a page cannot steal it"},
		} {
			if got := step(t, steps, want.title).facts[want.term]; got != want.value {
				t.Errorf("%s: %s is %q, want %q", want.title, want.term, got, want.value)
			}
		}
		if shown := compact(t, step(t, steps, "These bytes came back").bytes); shown != stored {
			t.Errorf("shown: %s\nstored: %s", shown, stored)
		}
		ends := step(t, steps, "The session was checked").ends
		if idle := ends["Idle limit"].Sub(w.clock.Now()); idle < sessionIdle-time.Minute || idle > sessionIdle {
			t.Errorf("ends idle in %s, want about %s", idle, sessionIdle)
		}
		if left := ends["Age limit"].Sub(w.clock.Now()); left < sessionLife-time.Minute || left > sessionLife {
			t.Errorf("ends in %s, want about %s", left, sessionLife)
		}
		page.wantPart(".summary", "1 lookup in ").wantPart(".summary", "no SQL")
	})
}

func compact(t *testing.T, laidOut string) string {
	t.Helper()
	var record json.RawMessage
	if err := json.Unmarshal([]byte(laidOut), &record); err != nil {
		t.Fatalf("%v in %s", err, laidOut)
	}
	short, err := json.Marshal(record)
	require.NoError(t, err)
	return string(short)
}

// TestWhyARequestIsAGuestsIsExplained sends cookies that identify no session.
func TestWhyARequestIsAGuestsIsExplained(t *testing.T) {
	onBothLearning(t, func(t *testing.T, w *world, asked string) {
		const sent, form, key = "Your browser sent a cookie", "It looks like a token", "The token became a key"
		end := []string{"Nothing else had to be done"}
		b := w.member(w.person("Ada"))
		spoiled, foreign := w.member(w.person("Bea")).token(), w.member(w.person("Cleo")).token()
		w.do("SET", storedUnder(spoiled), "gibberish")
		w.do("SET", storedUnder(foreign), `{"v":2,"created":1,"seen":1,"ends":1}`)
		for _, c := range []struct {
			what, cookie string
			want         []string
		}{
			{"no cookie", "", []string{"Your browser sent no session cookie", "A guest"}},
			{"another cookie", "other=x", []string{"Your browser sent no session cookie", "A guest"}},
			{"two cookies", product.SessionCookie + "=" + b.token() + "; " + product.SessionCookie + "=" + b.token(), []string{"Your browser sent several session cookies", "A guest"}},
			{"too short", product.SessionCookie + "=x", []string{sent, "It is not one of this server’s tokens", "A guest: the cookie was not trusted"}},
			{"a wrong sign", product.SessionCookie + "=" + strings.Repeat("*", 43), []string{sent, "It is not one of this server’s tokens", "A guest: the cookie was not trusted"}},
			{"invented", product.SessionCookie + "=" + strings.Repeat("A", 42) + "E", []string{sent, form, key, asked, "A guest: nothing is stored under that key"}},
			{"spoiled", product.SessionCookie + "=" + spoiled, []string{sent, form, key, asked, "These bytes came back", "The record was deleted", "A guest: the record could not be read"}},
			{"of a newer version", product.SessionCookie + "=" + foreign, []string{sent, form, key, asked, "These bytes came back", "A guest here: a newer server wrote the record"}},
		} {
			var headers []string
			if c.cookie != "" {
				headers = []string{"Cookie: " + c.cookie}
			}
			page := w.bare("GET", "/explain", "", headers...).wantNoCookie().wantText("h1", "How the server looked you up")
			wantTitles(t, c.what, way(page), append(c.want, end...)...)
			arrow := page.doc().Find(".drawing.across .d-part").First()
			drawn, dashed := arrow.Find(".d-value").Text(), arrow.HasClass("d-off")
			if none := c.want[0] == "Your browser sent no session cookie"; dashed != none || (drawn == "none") != none || (drawn == "several") != (c.what == "two cookies") {
				t.Errorf("%s: the drawing says %q, dashed: %v", c.what, drawn, dashed)
			}
		}

		w.clock.Advance(sessionIdle + time.Second)
		idle := []string{sent, form, key, asked, "These bytes came back", "The bytes became a record", "The session was checked"}
		idle = append(idle, "The record was deleted", "A guest: the session was idle for too long")
		wantTitles(t, "idle", way(b.get("/explain").wantNoCookie()), append(idle, end...)...)
		wantTitles(t, "after that", way(b.get("/explain")), append([]string{sent, form, key, asked, "A guest: nothing is stored under that key"}, end...)...)
	})
}

func TestASessionThatIsTooOldIsExplained(t *testing.T) {
	w, _, b := withMember(t, embedded, options{learn: true})
	for range 7 {
		w.clock.Advance(sessionIdle - time.Second)
		b.get("/profile").want(http.StatusOK)
	}
	w.clock.Advance(8 * time.Second)
	step(t, way(b.get("/explain")), "A guest: the session is too old")
}

func TestAGuestWithValuesHasBeenHereBefore(t *testing.T) {
	w := parallelWorld(t, embedded, options{learn: true})
	b := w.browser()
	b.post("/session", url.Values{"key": {"colour"}, "value": {"green"}}).wantRedirect("/session")
	steps := way(b.get("/explain").wantNoCookie())
	step(t, steps, "A guest who has been here before")
	if got := step(t, steps, "The bytes became a record").facts["values.colour"]; got != "green" {
		t.Errorf("values.colour is %q", got)
	}
}

// TestAVisitIsRecordedOnceAndShown: the page commits the session before it is
// rendered, and shows what was stored.
func TestAVisitIsRecordedOnceAndShown(t *testing.T) {
	w, _, b := withMember(t, services, options{learn: true})
	b.get("/explain")
	w.clock.Advance(2 * time.Minute)
	before := w.record(b.token())
	var steps []explained
	calls := w.redisCalls(func() { steps = way(b.get("/explain").wantNoCookie()) })
	if calls["get"] != 1 || calls["evalsha"] != 1 {
		t.Errorf("Redis was called for %v", calls)
	}
	recorded := step(t, steps, "Your visit was recorded")
	if !strings.HasPrefix(recorded.facts["Command"], "EVALSHA ") {
		t.Errorf("the write is shown as %q", recorded.facts["Command"])
	}
	if after := w.record(b.token()); after == before {
		t.Errorf("nothing was stored: %s", after)
	}
	b.get("/explain").wantPart("ol.path", "Nothing was written. This request changed nothing.")
}

func TestWhatMakesAWriteOneStepIsExplainedForEveryStore(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		at         func(testing.TB) stores
		kind, want string
	}{
		{services, store.KindRedis, "one Lua script"},
		{embedded, store.KindRedis, "one script, which the embedded Redis runs as one SQLite transaction"},
		{embedded, store.KindMemory, "a lock in this server"},
		{embedded, store.KindFile, "one transaction on the file"},
		{services, store.KindDatabase, "one SQL statement"},
	} {
		w := newWorld(t, c.at(t), options{learn: true, store: c.kind})
		b := w.member(w.person("Ada"))
		w.clock.Advance(2 * time.Minute)
		page := b.get("/explain")
		step(t, way(page), "Your visit was recorded")
		page.wantPart("ol.path", "Here that step is "+c.want)
		b.get("/explain").wantNoPart("ol.path", "Here that step is")
	}
}

// A request that waits for a new connection also waits for what is done before that
// connection is trusted.
func TestWhatARequestWaitedForBelongsToItsRecord(t *testing.T) {
	w, _, b := withMember(t, privateServices, options{learn: true})
	gone := w.member(w.person("Bea"))
	gone.post("/logout", nil).wantRedirect("/login")
	var page *answer
	var steps []explained
	for range 20 { // a heartbeat may open the connection before the request
		w.stores.redis.Stop()
		w.stores.redis.Start() // a new run, without the data of the previous one
		page = b.get("/explain").want(http.StatusOK)
		if steps = way(page); slices.Contains(titles(steps), "A connection was opened") {
			break
		}
	}
	step(t, steps, "A connection was opened")
	page.wantPart("ol.path", "FROM devices").wantPart("ol.path", "This request waited for that.").wantNoPart("ol.path", "No SQL was needed")
	b.get("/explain").wantPart("ol.path", "No SQL was needed")
}

func TestNoticesAreShownOnceOnThePageThatExplains(t *testing.T) {
	w := parallelWorld(t, services, options{learn: true})
	b := w.member(w.person("Ada"))
	b.post("/account/name", url.Values{"name": {"Ada Lovelace"}}).wantRedirect("/account")
	var shown sync.Map
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() { shown.Store(i, b.get("/explain")) })
	}
	all.Wait()
	notices := 0
	shown.Range(func(_, page any) bool {
		taken := len(page.(*answer).notices())
		notices += taken
		want := 10
		if taken > 0 {
			want = 12 // removing the notice takes the last three steps instead of one
		}
		steps := slices.DeleteFunc(titles(way(page.(*answer))), func(s string) bool { return s == "A connection was opened" })
		if len(steps) != want {
			t.Errorf("a page shows %d steps, want %d: %q", len(steps), want, steps)
		}
		return true
	})
	if notices != 1 {
		t.Errorf("the notice was shown %d times", notices)
	}
	b.post("/logout", nil).wantRedirect("/login")
	page := b.get("/explain").wantNotices("You are logged out.")
	if got := step(t, way(page), "No session cookie was sent back").facts["Sent with this page"]; !strings.HasPrefix(got, product.PartingCookie+"=") {
		t.Errorf("the deleted cookie is shown as %q", got)
	}
}

func TestEveryStepNamesCodeThatExists(t *testing.T) {
	w, _, b := withMember(t, services, options{learn: true})
	pages := []*answer{b.get("/explain"), w.bare("GET", "/explain", ""), w.bare("GET", "/explain", "", "Cookie: "+product.SessionCookie+"=x")}
	w.clock.Advance(2 * time.Minute)
	pages = append(pages, b.get("/explain"))
	for _, store := range []string{store.KindMemory, store.KindFile} {
		other := newWorld(t, embedded(t), options{learn: true, store: store})
		who := other.member(other.person("Ada"))
		other.clock.Advance(2 * time.Minute)
		pages = append(pages, who.get("/explain"))
	}
	seen := map[string]bool{}
	for _, page := range pages {
		for _, s := range way(page) {
			if s.file == "" && s.title != "No SQL was needed" && s.title != "Now delete the record and reload this page" {
				t.Errorf("%q names no code", s.title)
			}
			if s.file != "" && !seen[s.file+s.function] {
				seen[s.file+s.function] = true
				if _, name, _ := strings.Cut(s.function, ")."); !strings.HasPrefix(s.lines, "func ") || !strings.Contains(s.lines, name) || !strings.HasSuffix(s.lines, "}") {
					t.Errorf("the lines of %s in %s are %q", s.function, s.file, s.lines)
				}
				if all := functions(t, s.file); !slices.Contains(all, s.function) {
					t.Errorf("%q names %s in %s, which has %q", s.title, s.function, s.file, all)
				}
			}
		}
	}
	if len(seen) < 10 {
		t.Errorf("only %d places in the code are named", len(seen))
	}
}

// functions returns the names of a file's functions, as the Go runtime writes them.
func functions(t *testing.T, path string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", filepath.FromSlash(path)), nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	var all []string
	for _, declared := range file.Decls {
		f, ok := declared.(*ast.FuncDecl)
		switch {
		case !ok:
		case f.Recv == nil:
			all = append(all, f.Name.Name)
		default:
			switch of := f.Recv.List[0].Type.(type) {
			case *ast.StarExpr:
				all = append(all, "(*"+of.X.(*ast.Ident).Name+")."+f.Name.Name)
			case *ast.Ident:
				all = append(all, of.Name+"."+f.Name.Name)
			}
		}
	}
	return all
}

func TestWhereNoCommandReachesTheStoreThePageSaysSo(t *testing.T) {
	w := parallelWorld(t, embedded, options{learn: true, store: store.KindMemory})
	asked := step(t, way(w.member(w.person("Ada")).get("/explain")), "Looked up in the server’s own memory")
	if len(asked.hand) != 0 {
		t.Errorf("lines that look into a process: %q", asked.hand)
	}
	if !strings.HasPrefix(asked.facts["Command"], "Find ") {
		t.Errorf("the question was %q", asked.facts["Command"])
	}
}

// With sessions in the database, recognising a person needs the database.
func TestWhereSessionsAreInTheDatabaseThePageSaysThatItIsNeeded(t *testing.T) {
	w := parallelWorld(t, services, options{learn: true, store: store.KindDatabase})
	page := w.member(w.person("Ada")).get("/explain")
	step(t, way(page), "SQL needed: only for the record")
	page.wantPart(".path", "While the database is down, no one is recognised").wantPart(".summary", "1 lookup in the sessions table, no other SQL")
}

func TestTheCookieIsExplainedAsItWasSet(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		https    bool
		remember url.Values
		want     []string
	}{
		{false, nil, []string{"Name and value", "HttpOnly", "SameSite=Lax", "no Secure", "Path=/", "no Domain", "no Max-Age"}},
		{true, url.Values{"remember": {"on"}}, []string{"Name and value", "HttpOnly", "SameSite=Lax", "Secure", "Path=/", "no Domain", "Max-Age=2592000"}},
	} {
		w := newWorld(t, embedded(t), options{learn: true, https: c.https})
		p := w.person("Ada")
		form := credentials(p.email, p.password)
		maps.Copy(form, c.remember)
		b := w.browser()
		set := b.post("/login", form).wantRedirect("/profile").cookie(w.sessions.CookieName())
		facts := step(t, way(b.get("/explain")), "Nothing else had to be done").facts
		if terms := slices.Sorted(maps.Keys(facts)); !slices.Equal(terms, slices.Sorted(slices.Values(c.want))) {
			t.Errorf("explained %q, want %q", terms, c.want)
		}
		for _, word := range strings.Split(set.Raw, "; ")[1:] {
			if _, found := facts[word]; !found && !strings.HasPrefix(word, "Expires=") && !strings.HasPrefix(word, "Max-Age=") {
				t.Errorf("%s was set (%s) and is not explained", word, set.Raw)
			}
		}
		if got, want := facts["Name and value"], set.Name+"="+set.Value[:4]+"…"; !strings.HasPrefix(got, want) {
			t.Errorf("the cookie is shown as %q, want %q…", got, want)
		}
	}
}
