package main

import (
	"fmt"
	"time"

	"holdfast/internal/dev/require"
	"holdfast/internal/dev/testservice"
	"holdfast/internal/launch"
	"holdfast/internal/visitor"
)

// measureStarts measures the time from starting the program to its first response.
func measureStarts(l *lab) section {
	t := table{head: []string{"start", "median", "range"}}
	add := func(name string, seconds []float64) {
		all := spreadOf(seconds)
		t.row(name, "**"+milliseconds(all.median)+"**", milliseconds(all.least)+" to "+milliseconds(all.most))
	}
	s := section{
		title: "Start-up time",
		text: fmt.Sprintf("Time from process start to the last byte of the first response, median of %d starts. "+
			"With Redis and PostgreSQL, the response is the greeting of a user who is already logged in, and the tables exist. "+
			"With an empty directory, it is the home page, after both embedded stores are created.", l.starts),
	}
	add("default settings, empty directory", l.timeStarts(l.starts, func(run *launch.Server) {
		_, err := visitor.New(run.URL()).Get(l.ctx, "/")
		require.NoError(l, err)
	}, serverSettings("")...))
	var postgres *testservice.PostgresServer
	if err := l.try(func() { postgres = testservice.Postgres(l) }); err == nil {
		add("Redis and PostgreSQL", l.realStarts(postgres.URL))
	} else {
		s.notes = append(s.notes, "Not measured with Redis and PostgreSQL: "+err.Error()+".")
	}
	s.tables = []table{t}
	return s
}

func (l *lab) realStarts(postgresURL string) []float64 {
	token := ""
	// The first start creates the tables and logs in.
	return l.timeStarts(l.starts+1, func(run *launch.Server) {
		v := visitor.New(run.URL())
		if token == "" {
			require.NoError(l, v.Register(l.ctx, ada()))
			token = v.Token()
			return
		}
		v.Take(token)
		l.greeted(v)
	}, serverSettings(l.redis.URL, "DATABASE_URL="+postgresURL)...)[1:]
}

// timeStarts starts Holdfast n times, each in an empty directory, and returns how
// many seconds each start took until answered returned.
func (l *lab) timeStarts(n int, answered func(*launch.Server), settings ...string) (seconds []float64) {
	for range n {
		began := time.Now()
		run := l.launch(l.binary, serveArgs(), settings...)
		answered(run)
		seconds = append(seconds, time.Since(began).Seconds())
		require.NoError(l, run.Stop())
	}
	return seconds
}
