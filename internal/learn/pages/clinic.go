package pages

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"holdfast/web"
)

// clinicPath is the page of the cookie clinic.
const clinicPath = "/lab/cookies"

// clinicLife is how long its cookies last, and how long the page says which of them came
// back: on a reload, too.
const clinicLife = time.Minute

// clinicCookie is one cookie that the clinic sets, the rule that it tries, and what the
// browser sent.
type clinicCookie struct {
	Title  string
	Header string // Set-Cookie
	Rule   string // what decides, with its section of RFC 6265bis
	Advice string // what to do if your own cookie does not come back
	Back   bool   // whether the browser sent it
	Value  string // as sent
	name   string
}

type clinicPage struct {
	Tried   bool // whether the browser was sent the cookies just now
	Results []clinicCookie
	HTTPS   bool
}

// clinicCookies returns the cookies in the order of the page.
func clinicCookies() []clinicCookie {
	life := "; Max-Age=" + strconv.Itoa(int(clinicLife/time.Second))
	here := "; Path=" + clinicPath + life
	long := "clinic-long=" + strings.Repeat("x", 4090) + here
	return []clinicCookie{
		{
			name: "clinic-plain", Title: "An ordinary cookie", Header: "clinic-plain=1" + here + "; HttpOnly; SameSite=Lax",
			Rule:   "A browser sends a cookie to the host that set it, for every path under its Path, until it expires (section 5.8.3).",
			Advice: "If even this one does not come back, the browser blocks cookies for this site: allow them in its settings.",
		},
		{
			name: "clinic-secure", Title: "Secure", Header: "clinic-secure=1" + here + "; Secure",
			Rule:   "Over http, a browser drops a cookie with Secure (section 5.7). Some make an exception for localhost and accept it.",
			Advice: "Use https, or leave Secure out while you develop over http. On any host other than your own machine, it never comes back over http.",
		},
		{
			name: "clinic-domain", Title: "Another site’s Domain", Header: "clinic-domain=1" + here + "; Domain=example.com",
			Rule:   "The host that sets a cookie must be its Domain or a subdomain of it (section 5.1.3). Otherwise the browser drops it.",
			Advice: "Leave Domain out, and the cookie belongs to exactly this host. An IP address or localhost has no use for a Domain.",
		},
		{
			name: "clinic-path", Title: "A Path for another page", Header: "clinic-path=1; Path=/elsewhere" + life,
			Rule:   "The browser keeps it, and sends it only for paths under /elsewhere (section 5.1.4).",
			Advice: "Set Path=/ unless you want something else. Without Path, a cookie is limited to the directory of the page that set it.",
		},
		{
			name: "clinic-long", Title: "More than 4,096 bytes", Header: long,
			Rule:   "Browsers drop a cookie whose name and value together exceed 4,096 bytes (section 5.6).",
			Advice: "Keep the data on the server, and only a token in the cookie. That is what a session is.",
		},
		{
			name: "__Host-clinic", Title: "The prefix __Host-", Header: "__Host-clinic=1; Path=/; Secure" + life,
			Rule:   "A name with __Host- is accepted only with Secure, Path=/ and no Domain (section 5.7), so it works only where Secure does.",
			Advice: "Use the prefix with https. Over http, choose a name without it.",
		},
		{
			name: "clinic-expired", Title: "Already expired", Header: "clinic-expired=1; Path=" + clinicPath + "; Max-Age=0",
			Rule:   "A Max-Age of 0 or an Expires in the past deletes the cookie (section 5.7). To log you out, a server must also end the session.",
			Advice: "Check the clock of the server, and that Expires is in GMT. Max-Age needs no clock.",
		},
		{
			name: "clinic-twice", Title: "Twice, with two Paths", Header: "clinic-twice=a" + here + "\nclinic-twice=b; Path=/lab" + life,
			Rule:   "Name, host and path together identify a cookie, so the browser keeps both and sends both, the longer path first (section 5.8.3).",
			Advice: "Set and delete a cookie with the same Path. A server that gets two cannot tell which is right.",
		},
		{
			name: "clinic-port", Title: "Ports", Header: "clinic-port=1" + here,
			Rule:   "Cookies ignore ports (section 8.5): the browser also sends this one to any other server on this host.",
			Advice: "Give two programs on one host different cookie names, or different host names.",
		},
		{
			name: "clinic-httponly", Title: "HttpOnly", Header: "clinic-httponly=1" + here + "; HttpOnly",
			Rule:   "The browser sends it, but no script on the page can read it (section 5.6.6).",
			Advice: "If your script does not see the cookie, this is why. Session cookies should be HttpOnly.",
		},
	}
}

// showClinic says which of the cookies came back, as long as they last.
func (s *Pages) showClinic(c echo.Context) error {
	tried, _ := strconv.ParseInt(c.QueryParam("tried"), 10, 64) // Unix seconds; 0 for anything else
	p := clinicPage{Tried: s.Now().Sub(time.Unix(tried, 0)) < clinicLife, HTTPS: s.BaseURL.Scheme == "https"}
	for _, cookie := range clinicCookies() {
		for _, sent := range c.Request().CookiesNamed(cookie.name) {
			cookie.Value = strings.TrimPrefix(cookie.Value+", "+sent.Value, ", ")
			cookie.Back = true
		}
		p.Results = append(p.Results, cookie)
	}
	return s.Render(c, http.StatusOK, "clinic", "Cookie clinic", p)
}

// submitClinic sets the cookies. What the browser sends with its next request is the
// result.
func (s *Pages) submitClinic(c echo.Context) error {
	for _, cookie := range clinicCookies() {
		for header := range strings.Lines(cookie.Header) {
			c.Response().Header().Add(echo.HeaderSetCookie, strings.TrimSpace(header))
		}
	}
	return c.Redirect(http.StatusSeeOther, clinicPath+"?tried="+strconv.FormatInt(s.Now().Unix(), 10)+"#results")
}

// Shown returns the value of the Set-Cookie header, cut if it is very long; a second
// header follows on its own line.
func (c clinicCookie) Shown() string {
	const most = 120
	if len(c.Header) > most {
		return c.Header[:40] + "… (" + web.Count(len(c.Header), "byte") + ")"
	}
	return strings.ReplaceAll(c.Header, "\n", "\nSet-Cookie: ")
}
