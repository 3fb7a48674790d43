package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"holdfast/internal/config"
)

// migrate brings the database to the form this version needs, as serve does by
// itself, and says what was applied.
func migrate(ctx context.Context, cfg config.Config, stdout io.Writer) (err error) {
	db, err := openDatabase(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	applied, err := db.Migrate(ctx)
	if err != nil {
		return fmt.Errorf("migrate %s: %w", db.Name(), err)
	}
	for _, name := range applied {
		fmt.Fprintln(stdout, "applied", name)
	}
	_, err = fmt.Fprintf(stdout, "%s is up to date\n", db.Name())
	return err
}
