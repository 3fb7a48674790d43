package web

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/mileusna/useragent"

	"holdfast/internal/account"
	"holdfast/internal/form"
	"holdfast/internal/session"
)

// pastPerPage is how many past sessions one page lists.
const pastPerPage = 20

type devicesPage struct {
	Devices      []deviceCard
	Others       int
	Past         []pastDevice
	Older, Newer string // addresses of the neighbouring pages of past sessions, or ""
}

type deviceCard struct {
	ID, Title, Address  string
	Since, LastSeen     moment
	Current, Remembered bool
}

type pastDevice struct {
	Title, Address, How string
	Since, Ended        moment
}

// showDevices lists where the person is logged in: what the ledger has, as far
// as the store still holds it.
func (s *Site) showDevices(c echo.Context) error {
	ctx, now := c.Request().Context(), s.Now()
	page := pageNumber(c.QueryParam("page"))
	live, err := current(c).Devices(ctx)
	if err != nil {
		return err
	}
	past, err := current(c).PastDevices(ctx, (page-1)*pastPerPage, pastPerPage+1)
	if err != nil {
		return err
	}
	var p devicesPage
	p.Devices, p.Others = deviceCards(live, now)
	if len(past) > pastPerPage {
		past, p.Older = past[:pastPerPage], devicesPath(page+1)
	}
	if page > 1 {
		p.Newer = devicesPath(page - 1)
	}
	for _, d := range past {
		p.Past = append(p.Past, pastDevice{
			Title: deviceTitle(d.UserAgent), Address: d.Address, How: endingWords(d.How),
			Since: momentAt(d.Since, now), Ended: momentAt(d.Ended, now),
		})
	}
	return s.page(c, http.StatusOK, "devices", "Devices", p)
}

// deviceCards are live sessions as a page shows them, and how many of them are
// not this one.
func deviceCards(live []session.Device, now time.Time) (cards []deviceCard, others int) {
	for _, d := range live {
		cards = append(cards, deviceCard{
			ID: d.ID, Title: deviceTitle(d.UserAgent), Address: d.Address,
			Since: momentAt(d.Since, now), LastSeen: momentAt(d.Seen, now),
			Current: d.Current, Remembered: d.Remembered,
		})
		if !d.Current {
			others++
		}
	}
	return cards, others
}

// submitEndDevice ends one session of the person. One that is not theirs does
// not exist for them.
func (s *Site) submitEndDevice(c echo.Context) error {
	sent, err := form.Parse(c.Request(), "id")
	if err != nil {
		return err
	}
	err = current(c).EndDevice(c.Request().Context(), sent["id"])
	if errors.Is(err, session.ErrNoDevice) {
		return echo.NewHTTPError(http.StatusNotFound).SetInternal(err)
	}
	if err != nil {
		return err
	}
	if current(c).LoggedOut() {
		return s.leave(c)
	}
	member, _ := current(c).Member()
	s.note(c, account.EventSessionEnded, member.ID)
	current(c).Flash("That device is logged out.")
	return c.Redirect(http.StatusSeeOther, "/devices")
}

func (s *Site) submitEndOthers(c echo.Context) error {
	if _, err := form.Parse(c.Request()); err != nil {
		return err
	}
	ended, err := current(c).EndOthers(c.Request().Context())
	if err != nil {
		return err
	}
	member, _ := current(c).Member()
	s.note(c, account.EventSessionsEnded, member.ID)
	current(c).Flash("Logged out on " + count(ended, "other device") + ". This one is the only one left.")
	return c.Redirect(http.StatusSeeOther, "/devices")
}

// deviceTitle puts a User-Agent into words: "Firefox on Linux".
func deviceTitle(userAgent string) string {
	ua := useragent.Parse(userAgent)
	browser, system := ua.Name, ua.OS
	if browser == "" || len(browser) > 40 {
		browser = "An unknown browser"
	}
	if system == "" {
		return browser
	}
	return browser + " on " + system
}

func endingWords(how session.Ending) string {
	switch how {
	case session.EndedByLogOut:
		return "Logged out"
	case session.EndedByOwner:
		return "Logged out from another device"
	case session.EndedByOperator:
		return "Ended by the operator"
	case session.EndedByDisable:
		return "Ended when the account was disabled"
	case session.EndedByLimit:
		return "Ended to make room for a newer one"
	case session.EndedByPassword:
		return "Ended when the password was changed"
	case session.EndedByUndo:
		return "Ended when a change of address was undone"
	case session.EndedByLogIn:
		return "Replaced by a new log-in"
	default:
		return "Expired"
	}
}

// pageNumber reads a page of a list; anything else is the first.
func pageNumber(text string) int {
	const last = 1000
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > last {
		return 1
	}
	return n
}

func devicesPath(page int) string {
	return "/devices?page=" + strconv.Itoa(page)
}

// BrowserWords puts a User-Agent into words, for mails.
func BrowserWords(userAgent string) string { return deviceTitle(userAgent) }
