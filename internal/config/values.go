package config

import (
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/internal/product"
)

// Each function here checks the text of one kind of value. Its error says what
// is allowed, in words that follow "SETTING is VALUE: must be …".

const day = 24 * time.Hour

var days = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?)d`)

// parseDuration is time.ParseDuration with an optional number of days in front, each of
// 24 hours.
func parseDuration(text string) (time.Duration, error) {
	if match := days.FindStringSubmatch(text); match != nil {
		number, _ := strconv.ParseFloat(match[1], 64) // out of range gives infinity, which is no duration either
		text = strconv.FormatFloat(24*number, 'f', -1, 64) + "h" + text[len(match[0]):]
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, errors.New("must be a duration, such as 500ms, 10s, 24h or 7d")
	}
	return d, nil
}

var zeroUnits = regexp.MustCompile(`([hm])(0m)?0s$`)

// showDuration writes whole days as days, and leaves out the zero units that
// Duration.String writes.
func showDuration(d time.Duration) string {
	if d >= 2*day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	return zeroUnits.ReplaceAllString(d.String(), "$1")
}

// checkDirectory refuses a ~, which only a shell expands: the directory would really
// have that name.
func checkDirectory(text string) error {
	if strings.HasPrefix(text, "~") {
		return errors.New("must be a path without ~, which only a shell replaces")
	}
	return nil
}

var hostName = regexp.MustCompile(`^(?i)[a-z0-9_]([a-z0-9_-]{0,62}\.?)*$`)

func checkHost(text string) error {
	if _, err := netip.ParseAddr(text); err == nil {
		return nil
	}
	if len(text) > 253 || !hostName.MatchString(text) {
		return errors.New("must be a host name or IP address, without port or brackets")
	}
	return nil
}

// checkHostPort allows an empty host, which listens on every network.
func checkHostPort(text string) error {
	host, port, err := net.SplitHostPort(text)
	if err != nil || port == "" || !portOrNone(port) || host != "" && checkHost(host) != nil {
		return errors.New("must be host:port, such as localhost:9090")
	}
	return nil
}

func portOrNone(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return err == nil || text == ""
}

var defaultPorts = map[string]string{"http": ":80", "https": ":443"}

// checkBase returns the URL in its shortest form.
func checkBase(text string) (string, error) {
	base, err := url.Parse(text)
	if err == nil {
		standardPort, known := defaultPorts[base.Scheme]
		short := base.Scheme + "://" + strings.ToLower(base.Host)
		nothingElse := strings.EqualFold(strings.TrimSuffix(text, "/"), short) && !strings.HasSuffix(short, ":")
		if known && nothingElse && checkHost(base.Hostname()) == nil && portOrNone(base.Port()) {
			return strings.TrimSuffix(short, standardPort), nil
		}
	}
	return "", errors.New("must be an http:// or https:// URL with a host and optional port, without path, query or user")
}

// checkServer checks the URL of a server, whose scheme must be one of schemes.
func checkServer(text string, schemes []string) error {
	need := fmt.Errorf("must be a URL that starts with %s:// and has a host;"+
		" in passwords, write @ as %%40, / as %%2F and : as %%3A", strings.Join(schemes[:2], ":// or "))
	kind := schemes[0]
	server, err := url.Parse(text)
	switch {
	case err != nil || !slices.Contains(schemes, server.Scheme):
		return need
	case server.Scheme == "unix":
		return checkSocket(server)
	case server.Opaque != "" || server.Fragment != "" || !portOrNone(server.Port()):
		return need
	case kind == "redis" && (!databaseNumber.MatchString(server.Path) || server.RawQuery != ""):
		return errors.New("only a database number, such as /0, may follow the host")
	case kind == "smtp" && (server.Path != "" && server.Path != "/" || server.RawQuery != ""):
		return errors.New("must end after the host and port")
	case kind == "postgres" && (server.Hostname() != "" || server.Query().Get("host") != ""):
		return nil // there may be several hosts, and one in the query is the directory of a Unix socket
	case checkHost(server.Hostname()) != nil:
		return need
	}
	return nil
}

// maxSocketPath is the longest path of a Unix socket on every system, in bytes.
const maxSocketPath = 103

func checkSocket(u *url.URL) error {
	if u.Host != "" || u.Fragment != "" || len(u.Path) < 2 || len(u.Path) > maxSocketPath || !socketQuery.MatchString(u.RawQuery) {
		return fmt.Errorf("must be unix:// with the absolute path of a socket, of at most %d bytes, and nothing or ?db=N after it;"+
			" write %% as %%25, # as %%23 and ? as %%3F, and in passwords also @ as %%40 and / as %%2F", maxSocketPath)
	}
	return nil
}

var socketQuery = regexp.MustCompile(`^(db=[0-9]{1,4})?$`)

var databaseNumber = regexp.MustCompile(`^(/[0-9]{0,4})?$`)

// cookieName is a token (RFC 6265, section 4.1.1; RFC 9110, section 5.6.2).
var cookieName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$")

// checkCookie refuses prefixes that have a meaning in browsers, which ignore their case
// (RFC 6265bis, section 5.7), and the other cookies of the site.
func checkCookie(text string) error {
	if !cookieName.MatchString(text) || strings.HasPrefix(text, "__") || text == product.PartingCookie || text == product.DeviceCookie {
		return fmt.Errorf("must be 1 to 64 letters, digits or any of !#$%%&'*+-.^_`|~, must not begin with __, and must not be %s or %s",
			product.PartingCookie, product.DeviceCookie)
	}
	return nil
}

func checkMail(text string) error {
	if _, err := mail.ParseAddress(text); err != nil {
		return errors.New("must be an email address, such as Holdfast <login@example.org>")
	}
	return nil
}

func parseNetworks(text string) ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for _, one := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		network, err := parseNetwork(one)
		if err != nil {
			return nil, err
		}
		networks = append(networks, network)
	}
	return networks, nil
}

func parseNetwork(text string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(text); err == nil && ip.Zone() == "" {
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is not a network or IP address, such as 10.0.0.0/8 or 192.0.2.7", text)
	}
	if network != network.Masked() {
		return netip.Prefix{}, fmt.Errorf("%q has host bits set: use %s, or the address without /%d",
			text, network.Masked(), network.Bits())
	}
	return network, nil
}
