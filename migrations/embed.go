// Package migrations owns the shape of both databases: numbered steps, forward
// only, the same numbers for PostgreSQL and SQLite. It must not know who
// applies them.
package migrations

import "embed"

// FS holds one folder for each database, "postgres" and "sqlite", in the form
// that goose reads. A step that has landed is never edited.
//
//go:embed postgres/*.sql sqlite/*.sql
var FS embed.FS
