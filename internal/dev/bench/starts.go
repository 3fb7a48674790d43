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
		title: "Starting",
		text: fmt.Sprintf("From starting the process to the last byte of its first answer, median of %d starts. "+
			"On real services the answer is the greeting of a person who was logged in before, and the tables exist; "+
			"in an empty folder it is the first page, after both embedded stores were made.", l.starts),
		tables: []table{{head: []string{"start", "median", "least to most"}}},
	}
	add := func(name string, seconds []float64) {
		all := spreadOf(seconds)
		s.tables[0].row(name, "**"+milliseconds(all.median)+"**", milliseconds(all.least)+" to "+milliseconds(all.most))
	}
	embedded, err := l.embeddedStarts(ctx)
	if err != nil {
		return section{}, err
	}
	add("nothing set, an empty folder", embedded)
	var postgres *testservice.PostgresServer
	if err := l.bench.borrow(func(t testing.TB) { postgres = testservice.Postgres(t) }); err != nil {
		s.notes = append(s.notes, "Not measured on real services: "+err.Error()+".")
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
