package form_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"holdfast/internal/dev/require"
	"holdfast/internal/form"
)

const urlencoded = "application/x-www-form-urlencoded"

// send sends a body over real HTTP and returns the results of Parse.
func send(t *testing.T, method, contentType, query string, body io.Reader) (form.Values, error) {
	t.Helper()
	var values form.Values
	var failure error
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		values, failure = form.Parse(r, "email", "password")
	}))
	defer server.Close()
	request, err := http.NewRequest(method, server.URL+query, body)
	require.NoError(t, err)
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := server.Client().Do(request)
	require.NoError(t, err)
	response.Body.Close()
	return values, failure
}

func TestParseReadsWhatWasSent(t *testing.T) {
	for body, want := range map[string]form.Values{
		"email=a%40b.c&password=two+words": {"email": "a@b.c", "password": "two words"},
		"email=":                           {"email": ""},
		"":                                 {},
		"email=%C3%A9%0D%0A+%26%3D%2B":     {"email": "é\r\n &=+"},
	} {
		for _, contentType := range []string{urlencoded, urlencoded + "; charset=UTF-8", "Application/X-WWW-Form-URLEncoded"} {
			got, err := send(t, "POST", contentType, "?email=query&role=admin", strings.NewReader(body))
			if err != nil || !maps.Equal(got, want) {
				t.Errorf("body %q as %s: got %q, %v; want %q", body, contentType, got, err, want)
			}
		}
	}
}

func TestParseRefusesWhatIsNoFormOfThisProgram(t *testing.T) {
	for _, c := range []struct {
		name, method, contentType, body string
		want                            error
	}{
		{"a GET", "GET", urlencoded, "email=a", form.ErrMalformed},
		{"a PUT", "PUT", urlencoded, "email=a", form.ErrMalformed},
		{"JSON", "POST", "application/json", `{"email":"a"}`, form.ErrContentType},
		{"multipart", "POST", "multipart/form-data; boundary=x", "--x--", form.ErrContentType},
		{"no type", "POST", "", "email=a", form.ErrContentType},
		{"a broken type", "POST", urlencoded + "; charset", "email=a", form.ErrContentType},
		{"another charset", "POST", urlencoded + "; charset=utf-16", "email=a", form.ErrContentType},
		{"a doubled field", "POST", urlencoded, "email=a&email=b", form.ErrMalformed},
		{"a field doubled in another spelling", "POST", urlencoded, "email=a&%65mail=b", form.ErrMalformed},
		{"an unknown field", "POST", urlencoded, "email=a&role=admin", form.ErrMalformed},
		{"a field in another case", "POST", urlencoded, "Email=a", form.ErrMalformed},
		{"a nameless field", "POST", urlencoded, "=a", form.ErrMalformed},
		{"a broken escape", "POST", urlencoded, "email=%zz", form.ErrMalformed},
		{"a cut escape", "POST", urlencoded, "email=%4", form.ErrMalformed},
		{"a semicolon", "POST", urlencoded, "email=a;password=b", form.ErrMalformed},
		{"NUL", "POST", urlencoded, "email=a%00b", form.ErrMalformed},
		{"a bare NUL", "POST", urlencoded, "email=a\x00b", form.ErrMalformed},
		{"invalid UTF-8", "POST", urlencoded, "email=%ff", form.ErrMalformed},
		{"a surrogate", "POST", urlencoded, "email=%ED%A0%80", form.ErrMalformed},
		{"many fields", "POST", urlencoded, strings.Repeat("x&", 20_000), form.ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := send(t, c.method, c.contentType, "", strings.NewReader(c.body)); !errors.Is(err, c.want) || got != nil {
				t.Errorf("got %q, %v; want %v", got, err, c.want)
			}
		})
	}
}

func TestParseTakesNoBodyForAnEmptyForm(t *testing.T) {
	for name, body := range map[string]io.Reader{"no body": nil, "a length of 0": http.NoBody, "no chunk": io.MultiReader()} {
		if got, err := send(t, "POST", "", "", body); err != nil || got == nil || len(got) != 0 {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
		if _, err := send(t, "POST", "application/json", "", body); !errors.Is(err, form.ErrContentType) {
			t.Errorf("%s, but of a type: %v", name, err)
		}
	}
}

func TestParseRefusesTwoContentTypes(t *testing.T) {
	r := httptest.NewRequest("POST", "/", strings.NewReader("email=a"))
	r.Header["Content-Type"] = []string{urlencoded, "application/json"}
	if _, err := form.Parse(r, "email"); !errors.Is(err, form.ErrContentType) {
		t.Errorf("got %v", err)
	}
}

func TestParseReadsNoMoreThanTheLimit(t *testing.T) {
	fits := "password=" + strings.Repeat("a", form.MaxBytes-len("password="))
	for _, announced := range []bool{true, false} {
		// A reader that is not a strings.Reader is sent in chunks, without a length.
		body := func(s string) io.Reader {
			if announced {
				return strings.NewReader(s)
			}
			return io.MultiReader(strings.NewReader(s))
		}
		if got, err := send(t, "POST", urlencoded, "", body(fits)); err != nil || len(got["password"]) != form.MaxBytes-len("password=") {
			t.Errorf("announced %v: %d bytes refused: %v", announced, len(fits), err)
		}
		if _, err := send(t, "POST", urlencoded, "", body(fits+"a")); !errors.Is(err, form.ErrTooLarge) {
			t.Errorf("announced %v: %d bytes: got %v", announced, len(fits)+1, err)
		}
	}
	unread := &counter{}
	announced := httptest.NewRequest("POST", "/", unread)
	announced.Header.Set("Content-Type", urlencoded)
	announced.ContentLength = form.MaxBytes + 1
	if _, err := form.Parse(announced, "email"); !errors.Is(err, form.ErrTooLarge) || unread.read > 0 {
		t.Errorf("a body announced as too large: got %v, read %d bytes of it", err, unread.read)
	}
	endless := &counter{}
	r := httptest.NewRequest("POST", "/", endless)
	r.Header.Set("Content-Type", urlencoded)
	if _, err := form.Parse(r, "email"); !errors.Is(err, form.ErrTooLarge) {
		t.Errorf("endless body: got %v", err)
	}
	if endless.read > 2*form.MaxBytes {
		t.Errorf("read %d bytes of a body that is too large", endless.read)
	}
}

// counter is a body that never ends.
type counter struct{ read int }

func (c *counter) Read(p []byte) (int, error) {
	c.read += len(p)
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

func TestParseTellsTheLogNothingOfTheBody(t *testing.T) {
	for _, body := range []string{"secret%0A%1B%5B31m=secret", "email=a&secret", "email=a%sec", "email=secret&email=secret", "email=secret%00", "email=secret%ff"} {
		_, err := send(t, "POST", urlencoded, "", strings.NewReader(body))
		if !errors.Is(err, form.ErrMalformed) || strings.Contains(err.Error(), "sec") {
			t.Errorf("body %q: %v", body, err)
		}
	}
	_, err := send(t, "POST", urlencoded, "", strings.NewReader("email=a&email=b"))
	if err == nil || !strings.Contains(err.Error(), `"email"`) {
		t.Errorf("got %v, want the doubled field's name", err)
	}
}

func TestParsePassesOnABrokenConnection(t *testing.T) {
	r := httptest.NewRequest("POST", "/", io.MultiReader(strings.NewReader("email=a"), broken{}))
	r.Header.Set("Content-Type", urlencoded)
	if _, err := form.Parse(r, "email"); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestErrorsKeepFieldOrder(t *testing.T) {
	var problems form.Errors
	if err := problems.Err(); err != nil {
		t.Fatalf("nothing wrong, but %v", err)
	}
	problems.Add("email", "Fill it in.")
	problems.Add("password", "Too short.")
	problems.Add("email", "Second.")
	err := fmt.Errorf("register: %w", problems.Err())
	got, ok := errors.AsType[form.Errors](err)
	if !ok || len(got) != 3 || got[1].Field != "password" {
		t.Fatalf("got %v from %v", got, err)
	}
	if got.Of("email") != "Fill it in." || got.Of("name") != "" {
		t.Errorf("email %q, name %q", got.Of("email"), got.Of("name"))
	}
}

func TestParseRefusesABodyThatDoesNotArriveWhole(t *testing.T) {
	gone := errors.New("connection reset")
	body := io.MultiReader(strings.NewReader("email=ada"), iotest.ErrReader(gone))
	r := httptest.NewRequest(http.MethodPost, "/", body)
	r.Header.Set("Content-Type", urlencoded)
	if values, err := form.Parse(r, "email"); !errors.Is(err, form.ErrMalformed) || !errors.Is(err, gone) || values != nil {
		t.Errorf("got %v, %v; want ErrMalformed with the cause", values, err)
	}
}

func TestTakeLeavesTheRestOfTheFormAsItWas(t *testing.T) {
	for body, want := range map[string]struct{ taken, rest string }{
		"":                              {"", ""},
		"email=a":                       {"", "email=a"},
		"whose=x":                       {"x", ""},
		"whose=":                        {"", ""},
		"whose":                         {"", ""},
		"email=a%40b+c&whose=x%2By&&b":  {"x+y", "email=a%40b+c&&b"},
		"%77hose=x&email=\xff&Whose=y":  {"x", "email=\xff&Whose=y"},
		"email=%zz&whose=x&a;b&email=2": {"x", "email=%zz&a;b&email=2"},
		"whose%zz=1&whose=x":            {"x", "whose%zz=1"},
	} {
		r := httptest.NewRequest("POST", "/?whose=query", strings.NewReader(body))
		r.Header.Set("Content-Type", urlencoded)
		taken, err := form.Take(r, "whose")
		if err != nil || taken != want.taken {
			t.Errorf("%q: took %q, %v; want %q", body, taken, err, want.taken)
		}
		rest, err := io.ReadAll(r.Body)
		if err != nil || string(rest) != want.rest || r.ContentLength != int64(len(rest)) {
			t.Errorf("%q: left %q of %d bytes, %v; want %q", body, rest, r.ContentLength, err, want.rest)
		}
	}
}

func TestTakeRefusesWhatParseRefuses(t *testing.T) {
	for _, c := range []struct {
		what, method, contentType, body string
		want                            error
	}{
		{"GET", "GET", urlencoded, "whose=x", form.ErrMalformed},
		{"JSON", "POST", "application/json", "{}", form.ErrContentType},
		{"multipart", "POST", "multipart/form-data; boundary=x", "--x--", form.ErrContentType},
		{"no type", "POST", "", "whose=x", form.ErrContentType},
		{"twice", "POST", urlencoded, "whose=x&email=a&%77hose=x", form.ErrMalformed},
		{"a broken escape", "POST", urlencoded, "whose=%zz", form.ErrMalformed},
		{"a semicolon", "POST", urlencoded, "whose=x;y", form.ErrMalformed},
		{"NUL", "POST", urlencoded, "whose=%00", form.ErrMalformed},
		{"invalid UTF-8", "POST", urlencoded, "whose=%ff", form.ErrMalformed},
		{"too much", "POST", urlencoded, "email=" + strings.Repeat("a", form.MaxBytes), form.ErrTooLarge},
	} {
		r := httptest.NewRequest(c.method, "/", strings.NewReader(c.body))
		if c.contentType != "" {
			r.Header.Set("Content-Type", c.contentType)
		}
		if taken, err := form.Take(r, "whose"); !errors.Is(err, c.want) || taken != "" {
			t.Errorf("%s: %q, %v; want %v", c.what, taken, err, c.want)
		}
	}
	// The largest form still fits: removing a field does not make the rest larger.
	largest := "email=" + strings.Repeat("é", (form.MaxBytes-len("email=&whose=xx"))/2) + "&whose=xx"
	r := httptest.NewRequest("POST", "/", strings.NewReader(largest))
	r.Header.Set("Content-Type", urlencoded)
	if _, err := form.Take(r, "whose"); err != nil {
		t.Fatalf("%d bytes: %v", len(largest), err)
	}
	if _, err := form.Parse(r, "email"); err != nil {
		t.Errorf("what is left of %d bytes: %v", len(largest), err)
	}
}
