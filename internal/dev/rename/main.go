// Command rename gives this code a new name: the product's name, its slug, the module's
// path, and its cookies. docs/make-it-yours.md says what it changes and what it leaves.
// It is not part of the application, and uses nothing of it: it must work on code that
// does not build.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "rename:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("rename", flag.ContinueOnError)
	flags.SetOutput(stdout)
	top := flags.String("C", ".", "repository `directory`, with go.mod")
	name := flags.String("name", "", "display name: \"Sea Farer\"")
	slug := flags.String("slug", "", "program name, also used in files, keys and cookies: seafarer")
	module := flags.String("module", "", "Go module path: example.com/kelp/seafarer")
	if err := flags.Parse(args); err != nil {
		return err
	}
	to := names{Name: *name, Slug: *slug, Module: *module}
	if err := to.check(); err != nil {
		return err
	}
	if err := checkOriginal(*top); err != nil {
		return err
	}
	done, err := rename(*top, to)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "Renamed %s to %s in %d files.\n", original.Name, to.Name, done.files)
	for _, line := range done.meaning {
		fmt.Fprintf(stdout, "  rewrite by hand what the name means: %s\n", line)
	}
	return nil
}
