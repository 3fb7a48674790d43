package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testservice"
)

// processCPU is the processor time that a process has taken so far, user and
// system, in seconds, where the system tells it (Linux); elsewhere 0.
func processCPU(pid int) float64 {
	const ticksPerSecond = 100 // USER_HZ, the same on every Linux that Go runs on
	return (stat(pid, 14) + stat(pid, 15)) / ticksPerSecond
}

// residentMemory is what a process holds of the machine's memory, in bytes, where
// the system tells it (Linux); elsewhere 0.
func residentMemory(pid int) float64 { return stat(pid, 24) * float64(os.Getpagesize()) }

// stat is a field of /proc/PID/stat by its number in proc(5), or 0.
func stat(pid, number int) (value float64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	// pid (name) state …, where the name may hold anything.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if err == nil && number-3 < len(fields) {
		_, _ = fmt.Sscan(string(fields[number-3]), &value)
	}
	return value
}

// redisCPU is the same of a Redis, as it tells it itself (getrusage).
func (l *lab) redisCPU(of *testservice.RedisServer) float64 {
	info, err := redis.String(of.Do("INFO", "cpu"))
	require.NoError(l, err)
	var user, system float64
	_, err = fmt.Sscan(lineAfter(info, "used_cpu_user:")+" "+lineAfter(info, "used_cpu_sys:"), &user, &system)
	require.NoError(l, err)
	return user + system
}
