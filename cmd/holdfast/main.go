// Command holdfast is the login application: it reads the settings, opens what
// they name, puts the parts together and runs one command.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"holdfast/internal/config"
	"holdfast/internal/httpserver"
	"holdfast/internal/product"
)

func main() {
	if err := run(untilSignal(), os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, product.Slug+":", err)
		os.Exit(1)
	}
}

// untilSignal returns a context that ends with the first signal to stop. By then the
// handler is removed, so a second signal ends the process immediately:
// [signal.NotifyContext] would remove it afterwards, and could swallow that signal.
func untilSignal() context.Context {
	ctx, end := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		signal.Stop(signals)
		end()
	}()
	return ctx
}

// run is the whole program: args without the program's name, the environment
// through getenv, a new user's password on stdin, output on stdout, and on stderr the
// log and the names of the stores that a command uses. It returns when the command is
// done, or ctx has ended, and everything is closed.
func run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) error {
	process, err := httpserver.ThisProcess(product.EnvPrefix, getenv)
	if err != nil {
		return err
	}
	command, cfg, err := config.Parse(args, getenv, ".env", stdout)
	if errors.Is(err, config.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	log := newLog(cfg, stderr)
	switch command.Name {
	case "serve":
		// A log or standard output that nothing reads any more is an error of the write
		// and not the end of the server.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
		if process.Rehearsal {
			return rehearse(ctx, cfg, log)
		}
		if command.Serve.StopWithStdin {
			ctx = untilEnd(ctx, stdin)
		}
		return process.Run(ctx, cfg.Address(), log, func(ctx context.Context, listener *httpserver.Listener) error {
			return serve(ctx, cfg.WithPort(listener.Port()), command.Serve, listener, log, stdout)
		})
	case "migrate":
		return migrate(ctx, cfg, stdout)
	case "restart-check":
		return restartCheck(ctx, cfg, command.RestartCheck, stdout, stderr)
	case "healthcheck":
		return healthcheck(ctx, cfg)
	case "version":
		_, err := fmt.Fprintln(stdout, product.Slug, version())
		return err
	default:
		return operate(ctx, command, cfg, log, stdin, stdout, stderr)
	}
}

// untilEnd returns a context that ends with ctx or when in does. The end of a pipe is
// the one sign on every system that the program at its other end is gone.
func untilEnd(ctx context.Context, in io.Reader) context.Context {
	ctx, end := context.WithCancel(ctx)
	go func() {
		defer end()
		_, _ = io.Copy(io.Discard, in)
	}()
	return ctx
}

// version is the module's version as the Go tool recorded it (a tag, or the commit it
// was built from), or "dev".
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "dev"
	}
	return info.Main.Version
}

// healthcheck fails unless the server with these settings is alive: for containers
// that hold nothing but this program.
func healthcheck(ctx context.Context, cfg config.Config) error {
	at := fromInside(cfg) + "/healthz"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return err
	}
	// Without a proxy: the server is on this machine.
	client := http.Client{Transport: &http.Transport{}, Timeout: 3 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s returned %s", at, response.Status)
	}
	return nil
}

// fromInside is the address of a server with these settings for its own machine,
// without any proxy. Connecting to 0.0.0.0 or :: reaches the machine itself.
func fromInside(cfg config.Config) string { return "http://" + cfg.Address() }
