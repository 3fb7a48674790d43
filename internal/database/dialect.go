package database

import (
	"fmt"
	"strings"

	"github.com/pressly/goose/v3"
)

// dialect is how one of the two databases differs from the other.
type dialect struct {
	// words replaces words in statements, which may contain these:
	//
	//   - NOW_MS is the database's clock in Unix milliseconds, when the statement
	//     runs: in PostgreSQL, now() would be when its transaction began. This clock
	//     determines all ages, so that servers whose clocks differ agree.
	//   - STAMP_MS is the same clock, but never before the floor that
	//     [devices.Clock] has returned. It stamps the end of a session.
	//   - JSON_TEXTS is the function that turns a JSON array of texts into a table
	//     with the column value.
	//   - FOR UPDATE, FOR SHARE and FOR KEY SHARE lock rows. SQLite has no such
	//     clauses, and allows one writer at a time.
	//
	// SQL is substituted nowhere else.
	words      *strings.Replacer
	goose      goose.Dialect
	migrations string // folder
	hasTable   string // statement: whether there is a table $1
	columns    string // statement: table.column of every column
	writers    int    // how many statements of one job may write at the same time
	places     places
}

// places describes where the rows of devices are in the database's files, counted from
// 0. Reading them in this order is many times faster than by a key.
type places struct {
	end    string // statement for the first place after all rows
	within string // condition: the row is at $2 or later, and before $3
	step   int64  // places of some 10,000 rows
	at     func(place int64) any
}

func postgresDialect() dialect {
	const now = `(extract(epoch FROM clock_timestamp()) * 1000)::bigint`
	return dialect{
		words: strings.NewReplacer(
			"NOW_MS", now, "STAMP_MS", `GREATEST(`+now+`, (SELECT floor_ms FROM clock))`,
			"JSON_TEXTS", "json_array_elements_text"),
		goose:      goose.DialectPostgres,
		migrations: "postgres",
		hasTable:   `SELECT to_regclass($1) IS NOT NULL`,
		columns: `
SELECT t.relname || '.' || c.attname
FROM pg_attribute c
JOIN pg_class t ON t.oid = c.attrelid
JOIN pg_namespace s ON s.oid = t.relnamespace
WHERE s.nspname = current_schema() AND c.attnum > 0 AND NOT c.attisdropped`, // other roles' tables, too
		writers: 4, // leaves most connections to others
		places: places{
			end:    `SELECT pg_relation_size('devices') / current_setting('block_size')::bigint`,
			within: `ctid >= $2 AND ctid < $3`,
			step:   200, // blocks of some 50 rows
			at:     func(block int64) any { return fmt.Sprintf("(%d,0)", block) },
		},
	}
}

func sqliteDialect() dialect {
	const now = `CAST(unixepoch('subsec') * 1000 AS INTEGER)`
	return dialect{
		words: strings.NewReplacer(
			"NOW_MS", now, "STAMP_MS", `MAX(`+now+`, (SELECT floor_ms FROM clock))`,
			"JSON_TEXTS", "json_each",
			"FOR UPDATE", "", "FOR SHARE", "", "FOR KEY SHARE", ""),
		goose:      goose.DialectSQLite3,
		migrations: "sqlite",
		hasTable:   `SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = $1)`,
		columns: `
SELECT m.name || '.' || c.name
FROM sqlite_schema m
JOIN pragma_table_info(m.name) c`,
		writers: 1,
		places: places{
			end:    `SELECT COALESCE(MAX(rowid), 0) + 1 FROM devices`,
			within: `rowid >= $2 AND rowid < $3`,
			step:   10_000,
			at:     func(row int64) any { return row },
		},
	}
}
