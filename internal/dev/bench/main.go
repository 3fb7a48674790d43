// Command bench compares Holdfast with the least that a server can do, and with its own
// libraries used as their manuals show, and writes the results to docs/benchmarks.md.
//
// It owns what is measured, how, and the text around the figures. It runs Holdfast as a
// separate program; of its packages it uses only the templates, which the other servers
// render too, and the product's names. Nothing here is a test: a shared machine is too
// noisy for pass or fail.
//
// To measure something more, write a measurement and add it to measurements.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

// measurement is one section of the report.
type measurement struct {
	name string
	run  func(*lab) section
}

// measurements returns the sections in the order in which they are made and printed.
func measurements() []measurement {
	return []measurement{
		{"greeting", measureGreeting},
		{"flood", measureFlood},
		{"devices", measureDevices},
		{"starts", measureStarts},
	}
}

// options say how long and how often to measure.
type options struct {
	rounds      int
	length      time.Duration // of one round of one server
	connections int           // kept alive by wrk
	starts      int
	others      int    // sessions of other people, for the larger site
	out         string // the report; "" only prints it
	only        string // one measurement by name; "" means all
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// run measures, or runs one of the servers that Holdfast is compared with.
func run(ctx context.Context, args []string) error {
	if len(args) == 2 {
		switch args[0] {
		case "limit":
			return serveLimit(ctx, args[1])
		case "stock":
			return serveStock(ctx, args[1])
		}
	}
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&o.rounds, "rounds", 9, "rounds per server")
	flags.DurationVar(&o.length, "length", 3*time.Second, "length of one round, in whole seconds")
	flags.IntVar(&o.connections, "connections", 64, "keep-alive connections, unless a benchmark sets its own")
	flags.IntVar(&o.starts, "starts", 11, "starts per configuration")
	flags.IntVar(&o.others, "others", 1_000_000, "number of other sessions")
	flags.StringVar(&o.out, "out", "docs/benchmarks.md", "report file; if empty, only print")
	flags.StringVar(&o.only, "only", "", "run one benchmark (greeting, flood, devices or starts), only print")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	chosen := slices.DeleteFunc(measurements(), func(m measurement) bool { return o.only != "" && o.only != m.name })
	if len(chosen) == 0 {
		return fmt.Errorf("unknown benchmark %q; available: greeting, flood, devices, starts", o.only)
	}
	return measure(ctx, o, chosen)
}

func measure(ctx context.Context, o options, chosen []measurement) (err error) {
	l := &lab{options: o, ctx: ctx}
	defer func() { err = errors.Join(err, l.end()) }()
	text := ""
	err = l.try(func() {
		l.furnish()
		var sections []section
		for _, m := range chosen {
			l.say("measure %s", m.name)
			sections = append(sections, m.run(l))
			l.stopAll()
		}
		text = l.report(sections)
	})
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return err
	}
	fmt.Print(text)
	if o.only != "" || o.out == "" {
		return nil
	}
	return os.WriteFile(o.out, []byte(text), 0o644)
}
