package main

import (
	"context"
	"fmt"
	"io"

	"holdfast/internal/config"
)

// migrate migrates the database to the schema of this version, as serve does at its
// start, and prints what it applied.
func migrate(ctx context.Context, cfg config.Config, stdout io.Writer) (err error) {
	db, err := openDatabase(ctx, cfg, false)
	if err != nil {
		return err
	}
	defer closing(&err, db.Close)
	applied, err := db.Migrate(ctx)
	if err != nil {
		return fmt.Errorf("migrate %s: %w", db.Name(), err)
	}
	for _, name := range applied {
		fmt.Fprintf(stdout, "Applied %s.\n", name)
	}
	_, err = fmt.Fprintf(stdout, "%s is up to date.\n", db.Name())
	return err
}
