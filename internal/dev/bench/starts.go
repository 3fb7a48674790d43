package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"holdfast/internal/dev/testservice"
	"holdfast/internal/launch"
	"holdfast/internal/visitor"
)

// measureStarts takes the time from starting the program to its first answer.
func measureStarts(ctx context.Context, l *lab) (section, error) {
	s := section{
		title: "Start-up time",
		text: fmt.Sprintf("Time from process start to the last byte of the first response, median of %d starts. "+
			"With Redis and PostgreSQL, the response is the greeting of a user who is already logged in, and the tables exist. "+
			"With an empty directory, it is the home page, after both embedded stores are created.", l.starts),
		tables: []table{{head: []string{"start", "median", "range"}}},
	}
	add := func(name string, seconds []float64) {
		all := spreadOf(seconds)
		s.tables[0].row(name, "**"+milliseconds(all.median)+"**", milliseconds(all.least)+" to "+milliseconds(all.most))
	}
	embedded, err := l.embeddedStarts(ctx)
	if err != nil {
		return section{}, err
	}
	add("default settings, empty directory", embedded)
	var postgres *testservice.PostgresServer
	if err := l.bench.borrow(func(t testing.TB) { postgres = testservice.Postgres(t) }); err != nil {
		s.notes = append(s.notes, "Not measured with Redis and PostgreSQL: "+err.Error()+".")
		return s, nil
	}
	real, err := l.realStarts(ctx, postgres.URL)
	if err != nil {
		return section{}, err
	}
	add("Redis and PostgreSQL", real)
	return s, nil
}

func (l *lab) embeddedStarts(ctx context.Context) ([]float64, error) {
	return l.timeStarts(ctx, l.starts, func(run *launch.Server) error {
		_, err := visitor.New(run.URL()).Get(ctx, "/")
		return err
	}, serverSettings("")...)
}

func (l *lab) realStarts(ctx context.Context, postgresURL string) ([]float64, error) {
	token := ""
	// The first start creates the tables and logs in.
	seconds, err := l.timeStarts(ctx, l.starts+1, func(run *launch.Server) error {
		v := visitor.New(run.URL())
		if token == "" {
			err := v.Register(ctx, ada())
			token = v.Token()
			return err
		}
		v.Take(token)
		return greeted(ctx, v)
	}, serverSettings(l.redis.URL, "DATABASE_URL="+postgresURL)...)
	if err != nil {
		return nil, err
	}
	return seconds[1:], nil
}

// timeStarts starts Holdfast n times, each in an empty directory, and returns how
// many seconds each start took until answered returned.
func (l *lab) timeStarts(ctx context.Context, n int, answered func(*launch.Server) error, settings ...string) (seconds []float64, err error) {
	for range n {
		began := time.Now()
		run, err := l.launch(ctx, l.binary, serveArgs(), settings...)
		if err != nil {
			return nil, err
		}
		if err := answered(run); err != nil {
			return nil, err
		}
		seconds = append(seconds, time.Since(began).Seconds())
		if err := run.Stop(); err != nil {
			return nil, err
		}
	}
	return seconds, nil
}
