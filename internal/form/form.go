// Package form parses submitted HTML forms. It owns which bodies count as a form, how
// large a form may be, which fields it may have, and the list of what the user can
// correct. It must not know what any field means, or which page shows it.
package form

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxBytes is the largest form body that [Parse] reads, in bytes.
const MaxBytes = 64 << 10

// Why [Parse] refuses a request. None of these is caused by what a person types into a
// form that this program served.
var (
	ErrTooLarge    = errors.New("form is too large")                                     // 413
	ErrContentType = errors.New("body is not of type application/x-www-form-urlencoded") // 415
	ErrMalformed   = errors.New("form is malformed")                                     // 400
)

// Values holds the fields of one form as they were sent: valid UTF-8 without NUL,
// otherwise unchanged. A field that was not sent reads as "".
type Values map[string]string

// Parse reads the body of a POST of type application/x-www-form-urlencoded. A POST with
// neither a body nor a type is an empty form, as curl -X POST sends it. Each of the
// named fields may appear once and no other field may appear; the query string never
// replaces a field (OWASP ASVS 5.0.0, 15.3.3 and 15.3.7).
//
// It returns [ErrTooLarge] for a body above [MaxBytes], [ErrContentType] for any other
// type, and [ErrMalformed] for another method, a broken encoding, invalid UTF-8, NUL, a
// repeated or an unknown field, and a body that does not arrive completely in time: the
// sender is slow, has disconnected or does not speak HTTP. The error wraps the cause.
// Its text names a repeated field, for the log, but contains nothing else from the
// body: if a client forgot to escape an &, the name of an unknown field is part of a
// password.
func Parse(r *http.Request, fields ...string) (Values, error) {
	body, err := read(r)
	if err != nil {
		return nil, err
	}
	return parse(body, fields...)
}

// Take reads one field and removes it from the form: [Parse] then reads the rest, byte
// for byte, as if the field had not been sent. A field that was not sent reads as "".
// Take returns the errors of [Parse], for this field only.
func Take(r *http.Request, field string) (string, error) {
	body, err := read(r)
	if err != nil {
		return "", err
	}
	var own, rest []string
	for pair := range strings.SplitSeq(body, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if name, err := url.QueryUnescape(name); err == nil && name == field {
			own = append(own, pair)
		} else {
			rest = append(rest, pair)
		}
	}
	taken, err := parse(strings.Join(own, "&"), field)
	if err != nil {
		return "", err
	}
	left := strings.Join(rest, "&")
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(left)), int64(len(left))
	return taken[field], nil
}

// read reads the body of a form.
func read(r *http.Request) (string, error) {
	if r.Method != http.MethodPost {
		return "", fmt.Errorf("%w: method %q", ErrMalformed, r.Method)
	}
	types := r.Header.Values("Content-Type")
	if len(types) > 0 {
		if err := checkContentType(types); err != nil {
			return "", err
		}
	}
	body, err := readBody(r)
	if err == nil && len(types) == 0 && body != "" {
		err = fmt.Errorf("%w: no Content-Type", ErrContentType)
	}
	return body, err
}

func checkContentType(headers []string) error {
	if len(headers) != 1 {
		return fmt.Errorf("%w: %d Content-Type headers", ErrContentType, len(headers))
	}
	mediaType, params, err := mime.ParseMediaType(headers[0])
	if err != nil {
		return fmt.Errorf("%w: %w", ErrContentType, err)
	}
	if mediaType != "application/x-www-form-urlencoded" {
		return fmt.Errorf("%w: %q", ErrContentType, mediaType)
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return fmt.Errorf("%w: charset %q", ErrContentType, charset)
	}
	return nil
}

func readBody(r *http.Request) (string, error) {
	if r.ContentLength > MaxBytes {
		return "", fmt.Errorf("%w: %d bytes announced", ErrTooLarge, r.ContentLength)
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, MaxBytes))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return "", fmt.Errorf("%w: more than %d bytes", ErrTooLarge, MaxBytes)
	}
	if err != nil {
		return "", fmt.Errorf("%w: read body: %w", ErrMalformed, err)
	}
	return string(body), nil
}

func parse(body string, fields ...string) (Values, error) {
	sent, err := url.ParseQuery(body)
	if err != nil {
		return nil, fmt.Errorf("%w: broken encoding", ErrMalformed)
	}
	values := make(Values, len(fields))
	for name, all := range sent {
		if !slices.Contains(fields, name) {
			return nil, fmt.Errorf("%w: an unknown field", ErrMalformed)
		}
		if len(all) > 1 {
			return nil, fmt.Errorf("%w: field %q sent %d times", ErrMalformed, name, len(all))
		}
		if !utf8.ValidString(all[0]) || strings.ContainsRune(all[0], 0) {
			return nil, fmt.Errorf("%w: field %q is not text", ErrMalformed, name)
		}
		values[name] = all[0]
	}
	return values, nil
}
