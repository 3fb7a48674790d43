package web

import (
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/mileusna/useragent"

	"holdfast/internal/account"
	"holdfast/internal/product"
	"holdfast/internal/session"
)

// pastPerPage is how many past sessions one page lists.
const pastPerPage = 20

type devicesPage struct {
	Devices []DeviceCard
	Others  int
	Past    []pastDevices
	neighbours
}

// DeviceCard is a live session in a list of devices, for the partials "device" and
// "deviceLine".
type DeviceCard struct {
	ID, Title, Address  string
	Kind                string // of device: the name of its icon
	Since, LastSeen     Moment
	Current, Remembered bool
	Account             string // for the partial "account", in the card's form
}

// pastDevices are past sessions of one kind of browser at one address.
type pastDevices struct {
	Title, Address, Kind string
	Sessions             []pastSession
}

type pastSession struct {
	How          string
	Since, Ended Moment
}

// showDevices lists the member's sessions: those still in the session store, and one
// page of past ones.
func (s *Site) showDevices(c echo.Context) error {
	ctx, now := c.Request().Context(), s.Now()
	list := pagingOf(c, pastPerPage)
	live, err := current(c).Devices(ctx)
	if err != nil {
		return err
	}
	past, err := current(c).PastDevices(ctx, session.Device{}, list.offset(), list.limit())
	if err != nil {
		return err
	}
	var p devicesPage
	p.Devices, p.Others = DeviceCards(c, live, now)
	past, p.neighbours = shown(list, past)
	p.Past = s.groupPast(past, now)
	return s.Render(c, http.StatusOK, "devices", "Devices", p)
}

// groupPast groups past sessions by device. The device whose session ended last comes
// first.
func (s *Site) groupPast(past []session.Device, now time.Time) []pastDevices {
	var groups []pastDevices
	for _, d := range past {
		title, how := BrowserWords(d.UserAgent), RevocationWords(d.RevokeReason)
		if d.RevokeReason == session.RevokedByTime && !s.Sessions.Limits().CouldExpire(d) {
			how = "Deleted from the session store"
		}
		i := slices.IndexFunc(groups, func(g pastDevices) bool { return g.Title == title && g.Address == d.Address })
		if i < 0 {
			i = len(groups)
			groups = append(groups, pastDevices{Title: title, Address: d.Address, Kind: deviceKind(d.UserAgent)})
		}
		groups[i].Sessions = append(groups[i].Sessions, pastSession{
			How: how, Since: MomentAt(d.CreatedAt, now), Ended: MomentAt(d.RevokedAt, now),
		})
	}
	return groups
}

// DeviceCards returns the live sessions as a page shows them to the sender; others is
// how many of them are not the request's own.
func DeviceCards(c echo.Context, live []session.Device, now time.Time) (cards []DeviceCard, others int) {
	member, _ := memberOf(c)
	for _, d := range live {
		cards = append(cards, DeviceCard{
			ID: d.ID, Title: BrowserWords(d.UserAgent), Address: d.Address, Kind: deviceKind(d.UserAgent),
			Since: MomentAt(d.CreatedAt, now), LastSeen: MomentAt(d.LastSeenAt, now),
			Current: d.Current, Remembered: d.Remembered, Account: formValue(member),
		})
		if !d.Current {
			others++
		}
	}
	return cards, others
}

// submitEndDevice revokes one of the member's sessions. For another person's session,
// it returns session.ErrNoDevice, as if it did not exist.
func (s *Site) submitEndDevice(c echo.Context) error {
	if err := current(c).RevokeDevice(c.Request().Context(), formOf(c)["id"]); err != nil {
		return err
	}
	if current(c).LoggedOut() {
		return s.submitLogout(c)
	}
	s.audit(c, account.EventSessionEnded)
	return s.done(c, errDevicesEnded, "/devices", "That device has been logged out.")
}

func (s *Site) submitEndOthers(c echo.Context) error {
	ended, err := current(c).RevokeOthers(c.Request().Context())
	if err != nil && ended > 0 {
		return unavailableAfter(errDevicesEnded, err)
	}
	if err != nil {
		return err
	}
	if ended == 0 { // a second click
		return s.done(c, errDevicesEnded, "/devices", "You are not logged in on any other device.")
	}
	s.audit(c, account.EventSessionsEnded)
	return s.done(c, errDevicesEnded, "/devices", "You have been logged out on "+Count(ended, "other device")+".")
}

// BrowserWords describes a User-Agent: "Firefox on Linux".
func BrowserWords(userAgent string) string {
	ua := useragent.Parse(userAgent)
	browser, system := ua.Name, ua.OS
	// An unknown browser can send any name, which would appear in emails to people who
	// never used that browser. So do not show the name.
	if !slices.Contains(knownBrowsers, browser) {
		browser = "Unknown browser"
	}
	if system == "" {
		return browser
	}
	return browser + " on " + system
}

// knownBrowsers are the names of browsers and programs, not arbitrary header text.
var knownBrowsers = []string{
	useragent.Chrome, useragent.HeadlessChrome, useragent.Firefox, useragent.Safari, useragent.Edge,
	useragent.Opera, useragent.OperaMini, useragent.OperaTouch, useragent.Vivaldi, useragent.InternetExplorer,
	useragent.SamsungBrowser, "Miui Browser", "Huawei Browser", "Android browser", useragent.BlackBerry, useragent.NetFront,
	useragent.FacebookApp, useragent.InstagramApp, useragent.TiktokApp,
	useragent.Googlebot, useragent.Bingbot, useragent.Applebot, useragent.YandexBot,
	"curl", "Wget", "HTTPie", "python-requests", "Go-http-client", "okhttp", "PostmanRuntime",
	operatorAgent,
}

// operatorAgent is the User-Agent that the program records for its own command.
const operatorAgent = product.Slug + " users reset-link"

// deviceKind returns the icon for a User-Agent: "computer", "phone", "tablet",
// "program" or "unknown".
func deviceKind(userAgent string) string {
	switch ua := useragent.Parse(userAgent); {
	case ua.Tablet:
		return "tablet"
	case ua.Mobile:
		return "phone"
	case ua.Desktop:
		return "computer"
	case ua.Bot || ua.Name != "" && ua.OS == "": // curl, wget and the like name no system
		return "program"
	default:
		return "unknown"
	}
}
