// Package trace records what the server did for one request, so that a page can show
// the steps and their values to the person who sent it. It sets the callbacks of
// other packages (database.Trace, session.Trace) and turns their calls into steps.
// It owns the types of those steps and the bounded memory of recent requests. It must
// not know pages, and it never stores anything that could be used as a token.
package trace

import (
	"context"
	"fmt"
	"os"
	"path"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxSteps is the most steps that are kept of one request.
const maxSteps = 200

// Recorder keeps the steps of one request. It is safe for concurrent use.
type Recorder struct {
	began   time.Time
	closely bool

	mu      sync.Mutex
	steps   []Step
	room    [8]Step // as many as most requests take
	left    int     // steps not kept
	attempt int     // index of the first step of the current attempt
	session string
}

// New returns the Recorder of a request that begins now. With closely, it also keeps
// what only a page that explains this request needs, such as stored bytes.
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
	Took Took
	What What
	pc   uintptr
}

// Source is the code that took a step: a file, relative to the module, and a
// function in it.
type Source struct{ File, Function string }

// Add adds a step; frames is the number of functions between Add and the function
// that took the step.
func (r *Recorder) Add(frames int, what What) { r.add(Step{What: what, pc: caller(frames)}) }

// Timed is Add for a step that began at a time and has just ended.
func (r *Recorder) Timed(frames int, began time.Time, what What) {
	r.add(Step{What: what, Took: Took(time.Since(began)), pc: caller(frames)})
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

// NextAttempt removes the steps so far from [Recorder.Attempt]: the page is rendered
// again, because another request of the same session changed it first.
func (r *Recorder) NextAttempt() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attempt = len(r.steps)
}

// Attempt returns the steps of the last attempt to render the page.
func (r *Recorder) Attempt() []Step {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Step(nil), r.steps[r.attempt:]...)
}

// Session returns the key of the session that this request belongs to: the one it
// started, or else the one it was sent with; "" for none.
func (r *Recorder) Session() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.session
}

// Elapsed returns how long the request has taken so far.
func (r *Recorder) Elapsed() Took { return Took(time.Since(r.began)) }

// Source returns the code that took this step, from the symbol table of the program.
func (s Step) Source() Source {
	frame, _ := runtime.CallersFrames([]uintptr{s.pc}).Next()
	own := reflect.TypeFor[Recorder]().PkgPath()
	return sourceOf(strings.TrimSuffix(own, "internal/learn/trace"), frame.Function, frame.File)
}

// Lines returns the function that took this step, read from the source tree that the
// program was built from; "" if that is not on this machine, or has changed since.
func (s Step) Lines() string {
	frame, _ := runtime.CallersFrames([]uintptr{s.pc}).Next()
	text, err := os.ReadFile(frame.File)
	lines := strings.Split(string(text), "\n")
	if err != nil || frame.Line > len(lines) {
		return ""
	}
	first := frame.Line - 1
	for first > 0 && !strings.HasPrefix(lines[first], "func ") {
		first--
	}
	name, _, _ := strings.Cut(s.Source().Function, "[")
	name = name[strings.LastIndexByte(name, '.')+1:]
	end := slices.IndexFunc(lines[first:], func(line string) bool {
		return line == "}" || strings.HasPrefix(line, "func ") && strings.HasSuffix(line, "}")
	})
	if end < 0 || !strings.HasPrefix(lines[first], "func ") || !strings.Contains(lines[first], name) {
		return ""
	}
	return strings.Join(lines[first:first+end+1], "\n")
}

// sourceOf parses a function's full name, which begins with the import path of its
// package. module is the module's path and a slash; the path may contain more slashes
// and dots.
func sourceOf(module, name, file string) Source {
	folder, function := path.Split(name)              // "example.com/kelp/" and "web.(*Site).answer"
	last, function, _ := strings.Cut(function, ".")   // "web" and "(*Site).answer"
	folder = strings.TrimSuffix(folder+last, "_test") // an external test is in the directory of its package
	function, _, _ = strings.Cut(function, ".func")   // without the number of a closure
	folder = strings.TrimPrefix(folder, module)
	return Source{File: path.Join(folder, path.Base(file)), Function: function}
}
