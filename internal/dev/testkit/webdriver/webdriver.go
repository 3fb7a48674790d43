// Package webdriver drives Firefox and WebKit, as package chromium drives Chromium. It
// sends WebDriver commands (W3C): to Firefox over its own protocol, Marionette, and to
// WebKit over HTTP.
package webdriver

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"holdfast/internal/dev/require"
)

// Browser is a browser with one window. If an action fails, the test fails.
type Browser struct {
	t    testing.TB
	send func(command string, params object, result any) error
}

// The names of the commands in Marionette.
const (
	navigate = "WebDriver:Navigate"
	back     = "WebDriver:Back"
	find     = "WebDriver:FindElement"
	click    = "WebDriver:ElementClick"
	keys     = "WebDriver:ElementSendKeys"
	script   = "WebDriver:ExecuteScript"
)

// object is the parameters of a command.
type object map[string]any

// limit is how long an element may take to appear.
const limit = time.Minute

func (b *Browser) do(command string, params object) {
	b.t.Helper()
	if err := b.send(command, params, nil); err != nil {
		b.t.Fatalf("%s %v: %v", command, params, err)
	}
}

// Open loads a page.
func (b *Browser) Open(url string) { b.t.Helper(); b.do(navigate, object{"url": url}) }

// Back presses the Back button.
func (b *Browser) Back() { b.t.Helper(); b.do(back, object{}) }

// Click clicks the first element that matches the selector.
func (b *Browser) Click(selector string) {
	b.t.Helper()
	b.do(click, b.element(selector))
}

// Fill types text into an empty field.
func (b *Browser) Fill(selector, text string) {
	b.t.Helper()
	params := b.element(selector)
	params["text"] = text
	b.do(keys, params)
}

// Text returns the text of the first element that matches the selector, "" for none.
func (b *Browser) Text(selector string) (text string, err error) {
	err = b.send(script, object{
		"script": "return document.querySelector(arguments[0])?.textContent ?? ''", "args": []string{selector},
	}, &text)
	return text, err
}

// element waits for an element and returns its id as a parameter.
func (b *Browser) element(selector string) object {
	b.t.Helper()
	var found map[string]string
	var err error
	for until := time.Now().Add(limit); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		if err = b.send(find, object{"using": "css selector", "value": selector}, &found); err == nil {
			break
		}
	}
	require.NoError(b.t, err)
	for _, id := range found { // the standard fixes the key
		return object{"id": id}
	}
	b.t.Fatalf("%s is not on the page", selector)
	return nil
}

// failure is how both protocols report an error.
type failure struct {
	Name    string `json:"error"`
	Message string `json:"message"`
}

func (f *failure) Error() string { return f.Name + ": " + f.Message }

// value decodes a result: the member "value" if it is an object that has one.
func value(raw json.RawMessage, into any) error {
	if into == nil {
		return nil
	}
	var wrapped struct{ Value json.RawMessage }
	if err := json.Unmarshal(raw, &wrapped); err == nil && wrapped.Value != nil {
		raw = wrapped.Value
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("read %s: %w", raw, err)
	}
	return nil
}
