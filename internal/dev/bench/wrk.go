package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"

	"holdfast/internal/dev/require"
)

// wrkScript makes wrk print its figures on one line.
//
//go:embed wrk.lua
var wrkScript []byte

// load is what wrk measured for one server in one round.
type load struct {
	perSecond float64 // responses
	p50, p99  float64 // seconds from request to response
	bytes     float64 // of one response
	cpu       float64 // CPU time of the server for one response, in seconds
	redis     float64 // the same for its Redis
}

func (seen load) rate() float64      { return seen.perSecond }
func (seen load) wait() float64      { return seen.p50 }
func (seen load) longWait() float64  { return seen.p99 }
func (seen load) size() float64      { return seen.bytes }
func (seen load) serverCPU() float64 { return seen.cpu }
func (seen load) redisCPU() float64  { return seen.redis }

// wrk requests the page of c repeatedly over the given number of keep-alive
// connections. One unsuccessful response invalidates the round.
func (l *lab) wrk(c *contender, connections int) load {
	url := c.run.URL() + c.path
	script := filepath.Join(l.folder, "wrk.lua")
	require.NoError(l, os.WriteFile(script, wrkScript, 0o600))
	cmd := exec.CommandContext(l.ctx, "wrk",
		"--threads", strconv.Itoa(min(2, runtime.NumCPU(), connections)), "--connections", strconv.Itoa(connections),
		"--duration", fmt.Sprintf("%ds", max(1, int(l.length.Seconds()))), "--timeout", "10s",
		"--header", "Cookie: "+c.cookie, "--script", script, url)
	redisBefore, cpuBefore := l.redisCPU(c.redis), processCPU(c.run.PID())
	out, err := cmd.CombinedOutput()
	cpu, redis := processCPU(c.run.PID())-cpuBefore, l.redisCPU(c.redis)-redisBefore
	var answers, micros, bytesRead, failed, p50, p99 float64
	if err == nil {
		_, last, _ := bytes.Cut(out, []byte("figures "))
		_, err = fmt.Sscan(string(last), &answers, &micros, &bytesRead, &failed, &p50, &p99)
	}
	if err != nil || failed > 0 || answers == 0 {
		l.Fatalf("run wrk at %s: %.0f answers, %.0f failed, error %v\n%s", url, answers, failed, err, out)
	}
	return load{
		perSecond: answers / (micros / 1e6),
		p50:       p50 / 1e6,
		p99:       p99 / 1e6,
		bytes:     bytesRead / answers,
		cpu:       cpu / answers,
		redis:     redis / answers,
	}
}
