package web_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testkit"
	"holdfast/internal/product"
	"holdfast/internal/session"
)

// impatient returns a site on real services that does not wait for Redis longer than a
// test can.
func impatient(t *testing.T) *world {
	return parallelWorld(t, privateServices, options{redisTimeout: 3 * time.Second})
}

// wantSaid checks that this is the error page of an outage, and that it contains words.
func (a *answer) wantSaid(words string) *answer {
	a.t.Helper()
	a.want(http.StatusServiceUnavailable).wantNoCookie().wantErrorPage()
	return a.wantPart("main", words)
}

const (
	// notRead is said when a heartbeat was delayed before the request: then nothing is
	// read on that connection either, and nothing was done.
	notRead     = "We can’t look up sessions right now"
	mayBeStored = "Your change may have been saved. Check before you try again."
	madeAccount = "Your account has been created"
)

// during sends a request while Redis has a fault that affects writes, until one finds
// Redis fit to read from.
func (w *world) during(fault [2]func(), send func() *answer) (a *answer) {
	w.t.Helper()
	for range 10 {
		fault[0]()
		a = send()
		fault[1]()
		w.well()
		if !strings.Contains(string(a.body), notRead) {
			break
		}
	}
	return a
}

// full makes Redis refuse writes, as one without free memory does.
func (w *world) full() { w.do("CONFIG", "SET", "maxmemory", "1") }

// roomy ends full.
func (w *world) roomy() { w.do("CONFIG", "SET", "maxmemory", "0") }

// holdWrites delays what writes to Redis, until goOn.
func (w *world) holdWrites() { w.do("CLIENT", "PAUSE", "60000", "WRITE") }
func (w *world) goOn()       { w.do("CLIENT", "UNPAUSE") }

// well waits until the session store responds again, and keeps responding.
func (w *world) well() {
	w.t.Helper()
	testkit.Steadily(w.t, testkit.Patience, "Redis again", func() error { return w.sessions.Ping(context.Background()) })
}

func TestAValueThatHangsAtTheStoreMayHaveBeenStoredAndIsSaidToBe(t *testing.T) {
	w := impatient(t)
	value := url.Values{"key": {"colour"}, "value": {"green"}}
	w.browser().post("/session", value).wantRedirect("/session") // from here on, Redis has the script
	guest := w.browser()
	w.stores.redis.Pause()
	guest.post("/session", value).wantSaid(mayBeStored)
	w.stores.redis.Resume()
	testkit.Eventually(w.t, testkit.Patience, "carried out when Redis goes on", func() error {
		if n := len(w.sessionKeys()); n != 2 {
			return fmt.Errorf("%d sessions are stored", n)
		}
		return nil
	})
	w.well()
	w.stores.redis.Stop()
	testkit.Eventually(w.t, testkit.Patience, "the stop noticed", func() error {
		if w.sessions.Ping(context.Background()) == nil {
			return errors.New("Redis answers")
		}
		return nil
	})
	guest.post("/session", value).want(http.StatusServiceUnavailable).wantErrorPage().wantNoPart("main", "may have")
	w.stores.redis.Start()
	w.well()
	w.past = nil                           // this connection was closed
	if n := len(w.sessionKeys()); n != 0 { // it keeps nothing on disk
		t.Errorf("%d sessions are stored", n)
	}
}

func TestARegistrationWhoseSessionWasNotStoredSaysSoAndLogsInTheSecondTime(t *testing.T) {
	w := impatient(t)
	for name, fault := range map[string][2]func(){
		"hanging": {w.stores.redis.Pause, w.stores.redis.Resume},
		"full":    {w.full, w.roomy},
	} {
		form := url.Values{"name": {"Ada"}, "email": {name + "@kelp.example"}, "password": {sharedPassword}}
		b := w.browser()
		fault[0]()
		b.post("/register", form).wantSaid(madeAccount)
		fault[1]()
		w.well()
		for range 2 {
			w.browser().post("/register", form).wantRedirect("/profile")
		}
		b.follow(b.post("/register", form).wantRedirect("/profile")).want(http.StatusOK).wantText("h1", "Hello, Ada!")
		form.Set("password", "another long password")
		w.browser().post("/register", form).want(http.StatusUnprocessableEntity).wantNoCookie().wantPart("#email-error", "There is already an account")
	}
	if people, _, err := w.accounts.List(t.Context(), "", 10); len(people) != 2 || err != nil {
		t.Errorf("%d people, %v", len(people), err)
	}
}

func TestADisabledPersonIsNotLetInByRegisteringAgain(t *testing.T) {
	w := parallelWorld(t, embedded, options{})
	ada := w.person("Ada")
	_, err := w.accounts.SetDisabled(t.Context(), ada.id, true)
	require.NoError(t, err)
	w.browser().register(ada.name, ada.email, ada.password).want(http.StatusUnprocessableEntity).wantNoCookie()
}

func TestALogInThatWasNotStoredSaysThatNobodyIsIn(t *testing.T) {
	w := impatient(t)
	ada := w.person("Ada")
	b := w.browser()
	form := credentials(ada.email, ada.password)
	w.stores.redis.Pause()
	b.post("/login", form).wantSaid("We couldn’t log you in")
	w.stores.redis.Resume()
	w.well()
	wantLoggedOut(b)
	b.post("/login", form).wantRedirect("/profile")
	b.get("/devices").wantCount(".cards > .card", 1)
}

func TestANameChangedInTheDatabaseAloneIsSaidToBe(t *testing.T) {
	w := impatient(t)
	b := w.member(w.person("Ada"))
	form := url.Values{"name": {"Ada Lovelace"}}
	w.full()
	b.post("/account/name", form).wantSaid("Your name has been changed")
	b.get("/account").wantValue("#name", "Ada Lovelace")
	w.roomy()
	w.well()
	b.follow(b.post("/account/name", form).wantRedirect("/account"))
	b.get("/profile").wantText("h1", "Hello, Ada Lovelace!")
}

func TestDevicesThatWereLoggedOutAreSaidToBe(t *testing.T) {
	w := impatient(t)
	ada := w.person("Ada")
	b, other := w.member(ada), w.member(ada)
	id := b.otherDevices()[0]
	w.full() // the notice cannot be stored
	b.post("/devices/end", url.Values{"id": {id}}).wantSaid("Some devices were logged out")
	wantLoggedOut(other)
	w.roomy()
	w.well()
	b.post("/devices/end", url.Values{"id": {id}}).wantRedirect("/devices")
}

// TestALogOutThatHangsSaysThatItsOutcomeIsUnknown: Redis responds to reads and delays
// writes.
func TestALogOutThatHangsSaysThatItsOutcomeIsUnknown(t *testing.T) {
	w := impatient(t)
	ada := w.person("Ada")
	for path, words := range map[string]string{
		"/logout": "We don’t know if you are logged out", "/devices/end-others": mayBeStored, "/session": mayBeStored,
	} {
		w.member(ada)
		form := map[string]url.Values{"/session": {"key": {"colour"}, "value": {"green"}}}[path]
		var b *browser
		fault := [2]func(){func() {
			b = w.member(ada) // the previous try may have ended its session
			w.holdWrites()
		}, w.goOn}
		w.during(fault, func() *answer { return b.post(path, form) }).wantSaid(words)
		b.post(path, form).want(http.StatusSeeOther)
	}
}

func TestOthersAreLoggedOutAlsoWhilePostgresIsReadOnly(t *testing.T) {
	w := impatient(t)
	ada := w.person("Ada")
	b, other := w.member(ada), w.member(ada)
	w.readOnlyDatabase("on")
	page := b.follow(b.post("/devices/end-others", nil).wantRedirect("/devices"))
	page.wantNotice("You have been logged out on 1 other device.")
	wantLoggedOut(other)
	b.post("/account/name", url.Values{"name": {"Eve"}}).wantSaid("Nothing was changed.")
	b.get("/profile").wantText("h1", "Hello, Ada!")
	w.readOnlyDatabase("off")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go w.sessions.Maintain(ctx)
	testkit.Eventually(w.t, testkit.Patience, "noted when PostgreSQL takes writes", func() error {
		past, err := w.db.Devices().Past(t.Context(), ada.id, session.Device{}, 0, 10)
		if err == nil && (len(past) != 1 || past[0].RevokeReason != session.RevokedByOwner) {
			err = fmt.Errorf("past devices %+v", past)
		}
		return err
	})
}

// readOnlyDatabase makes PostgreSQL refuse writes to this world's database, or accept
// them again.
func (w *world) readOnlyDatabase(on string) {
	w.t.Helper()
	conn, err := pgx.Connect(w.t.Context(), w.stores.databaseURL)
	require.NoError(w.t, err)
	defer conn.Close(context.WithoutCancel(w.t.Context()))
	for _, statement := range []string{
		"SET default_transaction_read_only = off",
		"ALTER DATABASE " + conn.Config().Database + " SET default_transaction_read_only = " + on,
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
	} {
		if _, err := conn.Exec(w.t.Context(), statement); err != nil {
			w.t.Fatalf("%s: %v", statement, err)
		}
	}
	testkit.Eventually(w.t, testkit.Patience, "the database again", func() error { return w.db.Ping(w.t.Context()) })
}

// TestALogOutEndsTheSessionsOfAllCookiesThatCame: another port of the same host can set
// a second cookie with the same name.
func TestALogOutEndsTheSessionsOfAllCookiesThatCame(t *testing.T) {
	onBothStacks(t, func(t *testing.T, w *world) {
		ada := w.person("Ada")
		const never = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		for _, cookies := range []string{"session=%[1]s; session=%[2]s", "session=junk; session=%[1]s; session=%[2]s; session=" + never, "session=%[1]s; session=%[2]s; session=%[1]s"} {
			cookies = strings.ReplaceAll(cookies, "session=", product.SessionCookie+"=")
			one, two, kept := w.member(ada), w.member(w.person("Bea")), w.member(ada)
			sent := "Cookie: " + fmt.Sprintf(cookies, one.token(), two.token())
			w.raw("GET", "/profile", "", sent).wantRedirect("/login?next=%2Fprofile")
			out := w.raw("POST", "/logout", "", sent, "Content-Type: "+urlencoded, "Content-Length: 0").wantRedirect("/login")
			if cookie := out.cookie(product.SessionCookie); cookie == nil || cookie.MaxAge >= 0 {
				t.Errorf("%q: the cookie was not cleared: %v", cookies, cookie)
			}
			wantLoggedOut(one, two)
			kept.get("/profile").want(http.StatusOK)
		}
	})
}

// TestALogOutHappensAlsoWhenItsSenderHasGone: Redis delays the deletion until the
// browser has closed its connection.
func TestALogOutHappensAlsoWhenItsSenderHasGone(t *testing.T) {
	w := parallelWorld(t, privateServices, options{})
	ada, b := w.newMember("Ada")
	token := b.token()
	w.holdWrites()
	conn, err := net.Dial("tcp", w.base.Host)
	require.NoError(t, err)
	fmt.Fprintf(conn, "POST /logout HTTP/1.1\r\nHost: %s\r\nCookie: %s=%s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\n\r\n", w.base.Host, product.SessionCookie, token)
	testkit.Eventually(w.t, testkit.Patience, "held up in Redis", func() error {
		if info := w.do("INFO", "clients"); !strings.Contains(fmt.Sprintf("%s", info), "blocked_clients:1") {
			return fmt.Errorf("%s", info)
		}
		return nil
	})
	conn.Close()
	w.goOn()
	testkit.Eventually(w.t, testkit.Patience, "logged out", func() error {
		past, err := w.db.Devices().Past(t.Context(), ada.id, session.Device{}, 0, 10)
		if err == nil && (len(past) != 1 || past[0].RevokeReason != session.RevokedByLogOut) {
			err = fmt.Errorf("past devices %+v", past)
		}
		return err
	})
	wantLoggedOut(b)
}
