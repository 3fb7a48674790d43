// Command pictures takes the pictures in docs/pictures from the running application: it
// builds Holdfast, starts it without settings in a temporary directory, and walks
// through it with a headless Chromium.
//
// It owns which pages are pictured, in which order and at which size. It uses Holdfast
// from outside, as a person does, and knows nothing about its packages.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/chromedp/chromedp"

	"holdfast/internal/dev/testprocess"
	"holdfast/internal/launch"
	"holdfast/internal/visitor"
)

const (
	pictures = "docs/pictures" // from the top of the repository
	served   = "static/root"   // where the site's own pictures are
	email    = "ada@example.org"
	password = "analytical engine, 1843"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "pictures:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	if _, err := os.Stat("cmd/holdfast"); err != nil {
		return errors.New("run this at the top of the repository: make pictures")
	}
	if err := os.MkdirAll(pictures, 0o755); err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "holdfast-pictures")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	// Chromium leaves another directory beside its profile.
	if err := os.Setenv("TMPDIR", folder); err != nil {
		return err
	}
	program, err := testprocess.Build(folder, "holdfast/cmd/holdfast")
	if err != nil {
		return err
	}
	server, err := launch.Start(ctx, launch.Command{
		Program: program, Args: []string{"serve", "--stop-with-stdin"}, Dir: folder,
		Env: []string{"PORT=0", "LOG_LEVEL=warn", "TMPDIR=" + folder},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	camera, err := openCamera(ctx, filepath.Join(folder, "chromium"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, camera.close()) }()
	camera.site = server.URL()
	walk(camera)
	return camera.err
}

// walk goes through the application as Ada and takes pictures of what she sees.
func walk(c *camera) {
	c.open("/")
	c.picture("home", wide)
	// What other sites show beside a link to this one, at the size they ask for.
	c.frame("social", 800, 420, 1.5)
	c.do("open the icon", chromedp.Navigate(c.site+"/icon.svg"))
	c.frame("apple-touch-icon", 180, 180, 1)
	c.register()
	c.picture("profile", wide)
	c.picture("profile-phone", phone)
	c.picture("profile-dark", dark)
	c.keep("colour", "sea green")
	c.keep("basket", "3 apples, 1 loaf")
	c.picture("session", wide)
	c.step("log in elsewhere", c.logInElsewhere)
	c.open("/devices")
	c.picture("devices", wide)
	c.open("/explain")
	c.picture("explain", wide)
	c.open("/lab")
	c.picture("lab", wide)
	c.attack("slow")
	c.part("attack", wide, "section[aria-labelledby=slow]", 24)
	c.open("/lab")
	c.restart()
	c.picture("lab-after-restart", wide)
	c.open("/profile")
	c.picture("profile-after-restart", wide)
}

// elsewhere returns the User-Agents of Ada's other browsers.
func elsewhere() []string {
	return []string{
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0",
	}
}

// logInElsewhere logs Ada in from her other browsers, and logs her out of one more.
func (c *camera) logInElsewhere(ctx context.Context) error {
	var gone *visitor.Visitor
	for _, agent := range append(elsewhere(), elsewhere()[0]) {
		v := visitor.New(c.site)
		v.Header = http.Header{"User-Agent": {agent}}
		if err := v.LogIn(ctx, visitor.Person{Email: email, Password: password}); err != nil {
			return err
		}
		gone = v
	}
	return gone.LogOut(ctx)
}

func (c *camera) register() {
	c.do("register",
		chromedp.Navigate(c.site+"/register"),
		chromedp.SendKeys(chromedp.CSS("#name"), "Ada"),
		chromedp.SendKeys(chromedp.CSS("#email"), email),
		chromedp.SendKeys(chromedp.CSS("#password"), password),
		chromedp.Click(chromedp.CSS("main form .button")),
		chromedp.WaitVisible(chromedp.CSS(".greeting h1")),
	)
}

// keep stores a value in the session, and waits for a page that shows it.
func (c *camera) keep(key, value string) {
	c.do("keep "+key,
		chromedp.Navigate(c.site+"/session"),
		chromedp.SendKeys(chromedp.CSS("#key"), key),
		chromedp.SendKeys(chromedp.CSS("#value"), value),
		chromedp.Click(chromedp.CSS("form.pair .button")),
		chromedp.WaitReady(chromedp.CSS(fmt.Sprintf("table.values input[value=%q]", key))),
	)
}

// restart presses the button on /lab and waits until the page is back.
func (c *camera) restart() {
	c.do("restart",
		chromedp.Click(chromedp.CSS(`form[action="/lab/restart"] button`)),
		chromedp.WaitVisible(chromedp.CSS("main dl.facts")),
	)
}

// attack runs one of the attacks in the lab.
func (c *camera) attack(name string) {
	c.do("attack",
		chromedp.Navigate(c.site+"/lab/attacks"),
		chromedp.Click(chromedp.CSS(`form[action="/lab/attacks/`+name+`"] button`)),
		chromedp.WaitVisible(chromedp.CSS("section[aria-labelledby="+name+"] .trial")),
	)
}
