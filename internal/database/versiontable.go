package database

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"github.com/pressly/goose/v3"
	goosedb "github.com/pressly/goose/v3/database"

	"holdfast/internal/product"
	"holdfast/migrations"
)

const (
	// versionTable records which migrations have been applied.
	versionTable = product.Slug + "_migrations"
	// formerVersionTable is the table of earlier releases. It is goose's default, so
	// another program that shares the schema may use the same name.
	formerVersionTable = goose.DefaultTablename
)

const copyVersions = `
INSERT INTO ` + versionTable + ` (version_id, is_applied, tstamp)
SELECT version_id, is_applied, tstamp
FROM ` + formerVersionTable + `
ORDER BY id`

// provideVersionTable copies the version table of an earlier release, which keeps its
// own. It fails, without changing anything, if a table with one of our names belongs to
// another program.
func (db *DB) provideVersionTable(ctx context.Context, on *sql.DB) error {
	var there bool
	if err := on.QueryRowContext(ctx, db.hasTable, versionTable).Scan(&there); there || err != nil {
		return err
	}
	open, err := on.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer open.Rollback()
	t := &tx{ctx: ctx, words: db.words, via: open}
	if db.pool != nil {
		t.exec(`SELECT pg_advisory_xact_lock($1)`, advisoryLock())
	}
	columns := collect(t, single[string], db.columns)
	if t.err != nil || slices.Contains(columns, versionTable+".version_id") {
		return t.err
	}
	if !slices.Contains(columns, formerVersionTable+".version_id") || !slices.Contains(columns, "people.email_key") {
		return db.checkForeign(columns)
	}
	store, err := goosedb.NewStore(db.goose, versionTable)
	if err != nil {
		return err
	}
	if err := store.CreateVersionTable(ctx, open); err != nil {
		return err
	}
	if t.exec(copyVersions); t.err != nil {
		return t.err
	}
	return open.Commit()
}

// checkForeign fails if a table with one of these columns has the name of one that
// the migrations create.
func (db *DB) checkForeign(columns []string) error {
	createTable := regexp.MustCompile(`(?m)^CREATE TABLE (\w+)`)
	files, err := fs.Glob(migrations.FS, db.migrations+"/*.sql")
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := fs.ReadFile(migrations.FS, file)
		if err != nil {
			return err
		}
		for _, created := range createTable.FindAllSubmatch(text, -1) {
			table := string(created[1])
			if slices.ContainsFunc(columns, func(column string) bool { return strings.HasPrefix(column, table+".") }) {
				return fmt.Errorf("table %s exists already and is another program's: use a database or a schema (?search_path=%s) of its own",
					table, product.Slug)
			}
		}
	}
	return nil
}
