package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/gomodule/redigo/redis"

	"holdfast/internal/dev/testservice"
)

// processCPU is the processor time that a process has taken so far, user and
// system, in seconds, where the system tells it (Linux); elsewhere 0.
func processCPU(pid int) float64 {
	const ticksPerSecond = 100 // USER_HZ, the same on every Linux that Go runs on
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// pid (name) state …, where the name may hold anything; see proc(5).
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0
	}
	user, err1 := strconv.ParseFloat(string(fields[11]), 64)
	system, err2 := strconv.ParseFloat(string(fields[12]), 64)
	if errors.Join(err1, err2) != nil {
		return 0
	}
	return (user + system) / ticksPerSecond
}

// residentMemory is what a process holds of the machine's memory, in bytes, where
// the system tells it (Linux); elsewhere 0.
func residentMemory(pid int) float64 {
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	var size, resident float64 // pages; see proc(5)
	if _, err := fmt.Sscan(string(statm), &size, &resident); err != nil {
		return 0
	}
	return resident * float64(os.Getpagesize())
}

// redisCPU is the same of a Redis, as it tells it itself (getrusage).
func redisCPU(of *testservice.RedisServer) (seconds float64, err error) {
	info, err := redis.String(of.Do("INFO", "cpu"))
	if err != nil {
		return 0, err
	}
	for _, part := range []string{"used_cpu_user:", "used_cpu_sys:"} {
		value, err := strconv.ParseFloat(lineAfter(info, part), 64)
		if err != nil {
			return 0, fmt.Errorf("read the processor time of Redis: %w", err)
		}
		seconds += value
	}
	return seconds, nil
}
