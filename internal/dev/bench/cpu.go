package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testservice"
)

// processCPU returns the CPU time that a process has used so far, user and system, in
// seconds, on Linux; elsewhere 0.
func processCPU(pid int) float64 {
	const ticksPerSecond = 100 // USER_HZ, the same on every Linux that Go runs on
	return (stat(pid, 14) + stat(pid, 15)) / ticksPerSecond
}

// residentMemory returns the resident memory of a process in bytes, on Linux; elsewhere
// 0.
func residentMemory(pid int) float64 { return stat(pid, 24) * float64(os.Getpagesize()) }

// stat returns a field of /proc/PID/stat by its number in proc(5), or 0.
func stat(pid, number int) (value float64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	// pid (name) state …, where the name may contain anything.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if err == nil && number-3 < len(fields) {
		_, _ = fmt.Sscan(string(fields[number-3]), &value)
	}
	return value
}

// redisCPU is processCPU for a Redis, as the Redis itself reports it (getrusage).
func (l *lab) redisCPU(of *testservice.RedisServer) float64 {
	info, err := redis.String(of.Do("INFO", "cpu"))
	require.NoError(l, err)
	var user, system float64
	_, err = fmt.Sscan(lineAfter(info, "used_cpu_user:")+" "+lineAfter(info, "used_cpu_sys:"), &user, &system)
	require.NoError(l, err)
	return user + system
}
