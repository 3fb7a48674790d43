package restartcheck

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"
)

const (
	requestLimit = 20 * time.Second // one request, its answer read
	maxPage      = 1 << 20          // bytes of a page
)

// person is who logs in.
type person struct{ name, email, password string }

func newPerson() person {
	return person{name: "Ada", email: strings.ToLower(rand.Text()) + "@example.org", password: rand.Text()}
}

// browser is one person's browser: it keeps cookies and sends the forms that
// pages have.
type browser struct{ client *http.Client }

func newBrowser(where *place) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(err) // it never fails without options
	}
	client := where.client()
	client.Jar = jar
	return &browser{client}
}

func (b *browser) register(ctx context.Context, at *child, who person) error {
	return b.submit(ctx, at, "/register", url.Values{
		"name": {who.name}, "email": {who.email}, "password": {who.password},
	})
}

func (b *browser) logIn(ctx context.Context, at *child, who person) error {
	return b.submit(ctx, at, "/login", url.Values{"email": {who.email}, "password": {who.password}})
}

// submit fills in the form that the page at path has, and sends it.
func (b *browser) submit(ctx context.Context, at *child, path string, fill url.Values) error {
	status, page, err := b.get(ctx, at, path)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("GET %s: status %d\n%s", path, status, at.log)
	}
	sent, err := readForm(page, path)
	if err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	for field, value := range fill {
		if !sent.Has(field) {
			return fmt.Errorf("GET %s: the form has no field %q", path, field)
		}
		sent[field] = value
	}
	response, err := post(ctx, b.client, at, path, sent)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusSeeOther {
		return fmt.Errorf("POST %s: status %d\n%s", path, response.StatusCode, at.log)
	}
	return nil
}

// greeting is the heading of the page that greets; "" when the server does not
// know who is asking and wants a log-in.
func (b *browser) greeting(ctx context.Context, at *child) (string, error) {
	status, page, err := b.get(ctx, at, "/profile")
	if err != nil {
		return "", err
	}
	switch status {
	case http.StatusOK:
		return readHeading(page)
	case http.StatusSeeOther:
		return "", nil
	default:
		return "", fmt.Errorf("GET /profile: status %d\n%s", status, at.log)
	}
}

func (b *browser) get(ctx context.Context, at *child, path string) (status int, page string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.says["open"]+path, nil)
	if err != nil {
		return 0, "", err
	}
	response, err := b.client.Do(request)
	if err != nil {
		return 0, "", fmt.Errorf("%w\n%s", err, at.log)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxPage))
	if err != nil {
		return 0, "", fmt.Errorf("GET %s: %w\n%s", path, err, at.log)
	}
	return response.StatusCode, string(body), nil
}

// post sends a form and returns the answer, of which the body is read away.
func post(ctx context.Context, client *http.Client, at *child, path string, sent url.Values) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, at.says["open"]+path, strings.NewReader(sent.Encode()))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, at.log)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(response.Body, maxPage)); err != nil {
		return nil, fmt.Errorf("POST %s: %w\n%s", path, err, at.log)
	}
	return response, nil
}
