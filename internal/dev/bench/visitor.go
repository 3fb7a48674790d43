package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"holdfast/internal/product"
)

// visitor is a person with a browser that keeps cookies.
type visitor struct {
	site   *url.URL
	client *http.Client
}

func newVisitor(site string) (*visitor, error) {
	at, err := url.Parse(site)
	if err != nil {
		return nil, err
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	client := &http.Client{
		Jar:           jar,
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		// Of its own, so that its connections to a server end with it.
		Transport: &http.Transport{DisableCompression: true},
	}
	return &visitor{site: at, client: client}, nil
}

// send posts a form from the site's own page. Anything but success is an error.
func (v *visitor) send(ctx context.Context, path string, fields map[string]string) error {
	form := url.Values{}
	for name, value := range fields {
		form.Set(name, value)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, v.site.JoinPath(path).String(), strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	response, err := v.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= 400 {
		page, _ := io.ReadAll(response.Body)
		return fmt.Errorf("post %s: %s\n%s", path, response.Status, page)
	}
	return nil
}

// get returns an answer of status 200: its body, and all of it as on the wire.
func (v *visitor) get(ctx context.Context, path string, header http.Header) (body, wire []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, v.site.JoinPath(path).String(), nil)
	if err != nil {
		return nil, nil, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	response, err := v.client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	wire, err = httputil.DumpResponse(response, true)
	if err != nil {
		return nil, nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("get %s: %s", path, response.Status)
	}
	_, body, _ = bytes.Cut(wire, []byte("\r\n\r\n"))
	return body, wire, nil
}

// greeted asks for the profile and is content with a greeting alone.
func (v *visitor) greeted(ctx context.Context) error {
	body, _, err := v.get(ctx, "/profile", nil)
	if err == nil && !bytes.Contains(body, []byte("Hello, "+visitorName+"!")) {
		err = fmt.Errorf("no greeting on the profile:\n%s", body)
	}
	return err
}

// cookie is the session cookie as a request carries it.
func (v *visitor) cookie() string {
	for _, cookie := range v.client.Jar.Cookies(v.site) {
		if cookie.Name == product.SessionCookie {
			return cookie.Name + "=" + cookie.Value
		}
	}
	return ""
}

// as gives the visitor a cookie from before.
func (v *visitor) as(cookie string) *visitor {
	name, value, _ := strings.Cut(cookie, "=")
	v.client.Jar.SetCookies(v.site, []*http.Cookie{{Name: name, Value: value}})
	return v
}

const (
	visitorName     = "Ada Lovelace"
	visitorEmail    = "ada@example.org"
	visitorPassword = "nine kelp forests at dawn"
)

// register makes an account at a running Holdfast and is logged in.
func (v *visitor) register(ctx context.Context) error {
	return v.send(ctx, "/register", map[string]string{"name": visitorName, "email": visitorEmail, "password": visitorPassword})
}

func (v *visitor) logIn(ctx context.Context) error {
	return v.send(ctx, "/login", map[string]string{"email": visitorEmail, "password": visitorPassword})
}

// redisKey is where Holdfast keeps the session of a token.
func redisKey(token string) string {
	sum := sha256.Sum256([]byte(token))
	return "holdfast:session:" + base64.RawURLEncoding.EncodeToString(sum[:])
}
