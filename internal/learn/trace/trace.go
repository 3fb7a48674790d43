// Package trace records what the server did for one request, so that a page can
// show it to the person who sent that request: the real steps with their real
// values. It sets the traces that other packages call (database.Trace,
// session.Trace), turns what they report into steps, and owns the shapes of those
// steps and the bounded memory of recent requests. It must not know pages, and
// nothing that could be used as a token ever gets into it.
package trace

import (
	"context"
	"fmt"
	"path"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"time"
)

// maxSteps bounds what is kept of one request, however much it does.
const maxSteps = 200

// Recorder keeps the steps of one request. It is safe for concurrent use.
type Recorder struct {
	began   time.Time
	closely bool

	mu      sync.Mutex
	steps   []Step
	room    [8]Step // as many as most requests take
	left    int     // steps not kept
	attempt int     // index of the first step of the present attempt
	session string
}

// New returns the Recorder of a request that begins now. To watch closely is to
// keep what only a page that explains this request needs, such as stored bytes.
func New(closely bool) *Recorder {
	r := &Recorder{began: time.Now(), closely: closely}
	r.steps = r.room[:0]
	return r
}

type recorderKey struct{}

// With returns a context that carries rec.
func With(ctx context.Context, rec *Recorder) context.Context {
	return context.WithValue(ctx, recorderKey{}, rec)
}

// From returns the Recorder that ctx carries, or nil.
func From(ctx context.Context) *Recorder {
	rec, _ := ctx.Value(recorderKey{}).(*Recorder)
	return rec
}

// Took is how long something took; zero where it was not measured.
type Took time.Duration

// String writes a short time so that it can be compared.
func (t Took) String() string { return fmt.Sprintf("%.2f ms", time.Duration(t).Seconds()*1000) }

// Step is one thing that the server did.
type Step struct {
	At   time.Duration // since the request began
	Took Took
	What What
	pc   uintptr
}

// Source is the code that took a step: a file, seen from the top of the module,
// and a function in it.
type Source struct{ File, Function string }

// Add adds a step; between it and the function that took the step are as many
// functions as frames.
func (r *Recorder) Add(frames int, what What) { r.add(Step{What: what, pc: caller(frames)}) }

// Timed is Add for a step that began at a time and has just ended.
func (r *Recorder) Timed(frames int, began time.Time, what What) {
	r.add(Step{What: what, Took: Took(time.Since(began)), At: began.Sub(r.began), pc: caller(frames)})
}

// AddOf adds a step taken by fn, a function that has just been called.
func (r *Recorder) AddOf(fn any, what What) {
	r.add(Step{What: what, pc: reflect.ValueOf(fn).Pointer() + 1})
}

func caller(frames int) uintptr {
	var pcs [1]uintptr
	runtime.Callers(frames+3, pcs[:]) // without Callers, caller and its caller here
	return pcs[0]
}

func (r *Recorder) add(s Step) {
	if s.At == 0 {
		s.At = time.Since(r.began)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch what := s.What.(type) {
	case Recognised:
		r.session = what.Key
	case Commit:
		if what.Changed() {
			r.session = what.Key
		}
	}
	if len(r.steps) == maxSteps {
		r.left++
		return
	}
	r.steps = append(r.steps, s)
}

// Adopt adds steps that were taken by something this request waited for. Of
// those nothing is known but that they were over in its time.
func (r *Recorder) Adopt(steps []Step) {
	for _, s := range steps {
		s.At = 0
		r.add(s)
	}
}

// NextAttempt drops the steps so far from [Recorder.Attempt]: the page is made
// again, because another request of the same session came in between.
func (r *Recorder) NextAttempt() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attempt = len(r.steps)
}

// Attempt returns the steps since the page was last begun.
func (r *Recorder) Attempt() []Step {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Step(nil), r.steps[r.attempt:]...)
}

// Session is the store's name for the session that this request belongs to: the
// one it began, or else the one it came with; "" for none.
func (r *Recorder) Session() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.session
}

// Elapsed is how long the request has taken so far.
func (r *Recorder) Elapsed() Took { return Took(time.Since(r.began)) }

// Source is the code that took this step, as the program itself knows it.
func (s Step) Source() Source {
	frame, _ := runtime.CallersFrames([]uintptr{s.pc}).Next()
	own := reflect.TypeFor[Recorder]().PkgPath()
	return sourceOf(strings.TrimSuffix(own, "internal/learn/trace"), frame.Function, frame.File)
}

// sourceOf reads a function's full name, which begins with the import path of
// its package. module is the module's path and a slash; the path may have more
// slashes and dots.
func sourceOf(module, name, file string) Source {
	folder, function := path.Split(name)              // "example.com/kelp/" and "web.(*Site).answer"
	last, function, _ := strings.Cut(function, ".")   // "web" and "(*Site).answer"
	folder = strings.TrimSuffix(folder+last, "_test") // an external test stands beside its package
	function, _, _ = strings.Cut(function, ".func")   // without the number of a function inside it
	folder = strings.TrimPrefix(folder, module)
	return Source{File: path.Join(folder, path.Base(file)), Function: function}
}
