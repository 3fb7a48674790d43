// Package pages owns the learning pages: /explain, which shows how the server
// recognised a request, /lab with its experiments, and /why. They are an extension
// of the site like any other. The package must not know how the experiments work.
package pages

import (
	"embed"
	"io/fs"
	"net/http"

	"holdfast/internal/learn/attack"
	"holdfast/internal/learn/byhand"
	"holdfast/internal/learn/trace"
	"holdfast/web"
)

// Config is what the pages need.
type Config struct {
	// Learn adds the pages that show or do more than the public may see or do;
	// without it, there is only /why.
	Learn bool
	// OneStep says in a few words what makes the store's compare-and-swap atomic.
	OneStep string
	// ByHand returns the commands that read a stored session without this server.
	ByHand func(key string) byhand.Lines
	// Connections records new connections to the store, for the requests that wait
	// for them.
	Connections *trace.Connections
	// Recent keeps what the requests of each session did.
	Recent *trace.Recent
	Lab    Lab
}

// Pages are the pages of one site.
type Pages struct {
	Config
	*web.Site
}

//go:embed templates
var templates embed.FS

// New returns the extension that adds the pages to a site.
func New(cfg Config) (web.Extension, error) {
	s := &Pages{Config: cfg}
	e := web.Extension{Routes: s.routes}
	folders := []string{"why", "off"}
	if cfg.Learn {
		folders = []string{"why", "on"}
		e.Around = s.watch
		e.Errors = []web.NamedError{
			{Err: attack.ErrUnknown, Status: http.StatusNotFound},
			{
				Err: attack.ErrBusy, Status: http.StatusConflict, Heading: "Another attack is running",
				Message: "Only one runs at a time, so this one was not started. Try again in a few seconds.",
			},
		}
	}
	for _, folder := range folders {
		files, err := fs.Sub(templates, "templates/"+folder)
		if err != nil {
			return web.Extension{}, err
		}
		e.Templates = append(e.Templates, files)
	}
	return e, nil
}

func (s *Pages) routes(site *web.Site, public, members web.Group) {
	s.Site = site
	if !s.Learn {
		public.Page("/why", s.showWhy)
		return
	}
	public, members = public.OwnHost(), members.OwnHost()
	public.Page("/lab", s.showLab)
	public.Get("/lab/wait", s.showLabWait)
	public.Post("/lab/restart", s.submitRestart, "guess")
	public.Get("/lab/check", s.showCheck)
	public.Post("/lab/check", s.submitCheck)
	public.Page("/lab/attacks", s.showAttacks)
	public.Post("/lab/attacks/:name", s.submitAttack, "shown", "guess", "all")
	public.Page(clinicPath, s.showClinic)
	public.Post(clinicPath, s.submitClinic)
	public.Page(expirePath, s.showExpire)
	public.Post(expirePath, s.submitExpire)
	members.Post(attack.SlowPath, s.submitSlowRequest, "wait")
	public.Page("/why", s.showWhy)
	public.Post("/why/second", s.submitSecond, "guess")
	public.Post("/why/second/stop", s.submitSecondStop)
	public.Page(explainPath, s.showExplain)
	public.Page("/explain/recent", s.showRecent)
}
