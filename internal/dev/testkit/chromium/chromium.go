// Package chromium starts the headless Chromium in which tests and developer tools open
// pages.
//
// It is separate from package testkit because a DevTools client takes long to link.
package chromium

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"holdfast/internal/dev/campaign"
	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testservice"
)

// OtherHost is a host name that every Chromium of this package resolves to 127.0.0.1,
// but does not trust as it trusts its own machine.
const OtherHost = "kelp.example"

// Programs returns the names under which Chromium is installed, best first. In make test
// that is the one without a user interface, which takes a third less time.
func Programs() []string {
	shell := []string{"chromium-headless-shell", "chrome-headless-shell"}
	whole := []string{"chromium", "chromium-browser", "google-chrome", "chrome"}
	if campaign.On() {
		return append(whole, shell...)
	}
	return append(shell, whole...)
}

// Start starts the Chromium at path program, with its profile in folder profile. It
// returns the context of the first tab, and a function that closes the browser and
// waits until it has written its profile.
func Start(ctx context.Context, program, profile string, more ...chromedp.ExecAllocatorOption) (tab context.Context, end func() error, err error) {
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.UserDataDir(profile), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1000, 900),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", "MAP "+OtherHost+" 127.0.0.1"),
		// No spare process, and none for graphics: they take as much time as the pages.
		chromedp.Flag("disable-features", "SpareRendererForSitePerProcess,Translate"), chromedp.Flag("in-process-gpu", true),
		chromedp.Flag("force-prefers-reduced-motion", true),
	)
	allocator, release := chromedp.NewExecAllocator(ctx, append(options, more...)...)
	tab, _ = chromedp.NewContext(allocator)
	unguard := func() {}
	end = func() error {
		err := chromedp.Cancel(tab)
		unguard()
		release()
		if errors.Is(err, context.Canceled) {
			err = nil // it has already exited
		}
		return err
	}
	// The first action starts the browser, which lives as long as its context.
	if err := chromedp.Do(tab); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("start Chromium: %w", err), end())
	}
	if unguard, err = testservice.Guard(chromedp.FromContext(tab).Browser.Process().Pid); err != nil {
		return nil, nil, errors.Join(err, end())
	}
	return tab, end, nil
}

var (
	shared = sync.OnceValues(func() (tab context.Context, err error) {
		profile, err := os.MkdirTemp("", "chromium-")
		if err != nil {
			return nil, err
		}
		tab, endShared, err = Start(context.Background(), testservice.Installed(Programs()...), profile)
		return tab, err
	})
	endShared = func() error { return nil }
)

// Tab opens a tab and closes it when the test ends. The tab has its own cookies,
// storage and cache, in a browser that all tests of the process share. listen receives
// the tab's events. A package that calls Tab must call [End] after its tests.
func Tab(t testing.TB, listen func(event any)) context.Context {
	t.Helper()
	testservice.Program(t, Programs()...)
	browser, err := shared()
	require.NoError(t, err)
	tab, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext(), chromedp.WithListener(listen))
	t.Cleanup(cancel)
	if err := chromedp.Do(tab); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	return tab
}

// End closes the browser of [Tab]. It is for [testservice.Main].
func End() error { return endShared() }
