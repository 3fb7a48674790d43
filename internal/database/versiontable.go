package database

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"regexp"
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

const (
	sqliteColumns = `
SELECT m.name || '.' || c.name
FROM sqlite_schema m
JOIN pragma_table_info(m.name) c`

	postgresColumns = `
SELECT table_name || '.' || column_name
FROM information_schema.columns
WHERE table_schema = current_schema()`

	copyVersions = `
INSERT INTO ` + versionTable + ` (version_id, is_applied, tstamp)
SELECT version_id, is_applied, tstamp
FROM ` + formerVersionTable + `
ORDER BY id`
)

// provideVersionTable copies the version table of an earlier release, which keeps its
// own. It fails, without changing anything, if a table with one of our names belongs to
// another program.
func provideVersionTable(ctx context.Context, d goose.Dialect, folder string, on *sql.DB) error {
	known := sqliteKnowsTable
	if d == goose.DialectPostgres {
		known = postgresKnowsTable
	}
	var there bool
	if err := on.QueryRowContext(ctx, known, versionTable).Scan(&there); there || err != nil {
		return err
	}
	open, err := on.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer open.Rollback()
	columnsOf := sqliteColumns
	if d == goose.DialectPostgres {
		columnsOf = postgresColumns
		if _, err := open.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, advisoryLock()); err != nil {
			return err
		}
	}
	names, err := collect(ctx, conn{open, strings.NewReplacer()}, single[string], columnsOf)
	if err != nil {
		return err
	}
	columns := map[string]bool{}
	for _, name := range names {
		columns[name] = true
	}
	if columns[versionTable+".version_id"] {
		return nil
	}
	if !columns[formerVersionTable+".version_id"] || !columns["people.email_key"] {
		return checkForeign(folder, names)
	}
	store, err := goosedb.NewStore(goosedb.Dialect(d), versionTable)
	if err != nil {
		return err
	}
	if err := store.CreateVersionTable(ctx, open); err != nil {
		return err
	}
	if _, err := open.ExecContext(ctx, copyVersions); err != nil {
		return err
	}
	return open.Commit()
}

var createTable = regexp.MustCompile(`(?m)^CREATE TABLE (\w+)`)

// checkForeign fails if a table with one of these columns has the name of one that
// the migrations in a folder create.
func checkForeign(folder string, columns []string) error {
	files, err := fs.Glob(migrations.FS, folder+"/*.sql")
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := fs.ReadFile(migrations.FS, file)
		if err != nil {
			return err
		}
		for _, created := range createTable.FindAllSubmatch(text, -1) {
			for _, column := range columns {
				if table, _, _ := strings.Cut(column, "."); table == string(created[1]) {
					return fmt.Errorf("table %s exists already and is another program's: use a database or a schema (?search_path=%s) of its own",
						table, product.Slug)
				}
			}
		}
	}
	return nil
}
