package main

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"holdfast/internal/dev/testservice"
	"holdfast/internal/launch"
)

// wrkScript makes wrk print its figures in one line.
//
//go:embed wrk.lua
var wrkScript []byte

// load is what wrk saw of one server in one round.
type load struct {
	perSecond float64       // answers
	p50, p99  time.Duration // from request to answer
	bytes     float64       // of one answer
	cpu       float64       // seconds of processor time the server took for one answer
	redis     float64       // the same of its Redis
}

func (seen load) rate() float64      { return seen.perSecond }
func (seen load) wait() float64      { return seen.p50.Seconds() }
func (seen load) longWait() float64  { return seen.p99.Seconds() }
func (seen load) size() float64      { return seen.bytes }
func (seen load) serverCPU() float64 { return seen.cpu }
func (seen load) redisCPU() float64  { return seen.redis }

// page is what wrk asks for.
type page struct {
	server       *launch.Server
	redis        *testservice.RedisServer // of that server
	path, cookie string
	connections  int // kept alive
}

// wrk asks for one page again and again. One answer that is no success makes
// the round worthless and is an error.
func (l *lab) wrk(ctx context.Context, p page) (load, error) {
	url := p.server.URL() + p.path
	script := filepath.Join(l.folder, "wrk.lua")
	if err := os.WriteFile(script, wrkScript, 0o600); err != nil {
		return load{}, err
	}
	threads := min(2, runtime.NumCPU(), p.connections)
	cmd := exec.CommandContext(ctx, "wrk", "--threads", strconv.Itoa(threads), "--connections", strconv.Itoa(p.connections),
		"--duration", fmt.Sprintf("%ds", max(1, int(l.length.Seconds()))), "--timeout", "10s",
		"--header", "Cookie: "+p.cookie, "--script", script, url)
	redisBefore, err := redisCPU(p.redis)
	if err != nil {
		return load{}, err
	}
	cpu := processCPU(p.server.PID())
	out, err := cmd.CombinedOutput()
	cpu = processCPU(p.server.PID()) - cpu
	if err != nil {
		return load{}, fmt.Errorf("run wrk: %w\n%s", err, out)
	}
	redisAfter, err := redisCPU(p.redis)
	if err != nil {
		return load{}, err
	}
	var answers, micros, bytesRead, failed, p50, p99 float64
	_, last, _ := bytes.Cut(out, []byte("figures "))
	if _, err := fmt.Sscan(string(last), &answers, &micros, &bytesRead, &failed, &p50, &p99); err != nil {
		return load{}, fmt.Errorf("read figures of wrk: %w\n%s", err, out)
	}
	if failed > 0 || answers == 0 {
		return load{}, fmt.Errorf("%s: %.0f answers, %.0f failed", url, answers, failed)
	}
	micro := float64(time.Microsecond)
	return load{
		perSecond: answers / (micros / 1e6),
		p50:       time.Duration(p50 * micro),
		p99:       time.Duration(p99 * micro),
		bytes:     bytesRead / answers,
		cpu:       cpu / answers,
		redis:     (redisAfter - redisBefore) / answers,
	}, nil
}
