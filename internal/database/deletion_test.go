package database_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"holdfast/internal/account"
	"holdfast/internal/database"
	"holdfast/internal/dev/require"
)

// rowsOfPeople inserts a row into each table that refers to people, for the person $1;
// $2 is a text of 43 digits that no other row has. A table that is missing here must
// use ON DELETE CASCADE.
var rowsOfPeople = map[string]string{
	"devices": `
INSERT INTO devices (id, person_id, session_key, user_agent, address, remembered, created_ms, deadline_ms)
VALUES ($2, $1, $2, 'x', 'y', false, 1, 2)`,
	"browsers": `
INSERT INTO browsers (hash, person_id, created_ms, used_ms)
VALUES ($2, $1, 1, 2)`,
	"links": `
INSERT INTO links (hash, person_id, purpose, detail, created_ms, expires_ms)
VALUES ($2, $1, 'reset', '', 1, 2)`,
	"history": `
INSERT INTO history (id, person_id, event, at_ms, user_agent, address)
VALUES ($2, $1, 'log_in', 1, 'x', 'y')`,
}

// referencesToPeople queries the table and column of each foreign key to people, and
// whether it uses ON DELETE CASCADE.
const (
	postgresReferencesToPeople = `
SELECT from_table.relname, from_column.attname, c.confdeltype = 'c'
FROM pg_constraint c
JOIN pg_class from_table ON from_table.oid = c.conrelid
JOIN pg_attribute from_column ON from_column.attrelid = c.conrelid AND from_column.attnum = ANY (c.conkey)
WHERE c.contype = 'f'
  AND c.confrelid = 'people'::regclass`
	sqliteReferencesToPeople = `
SELECT t.name, k."from", k.on_delete = 'CASCADE'
FROM sqlite_schema t
JOIN pragma_foreign_key_list(t.name) k
WHERE t.type = 'table'
  AND k."table" = 'people'`
)

// columnsNamedForPeople queries the tables that have a person_id, with or without a
// foreign key.
const (
	postgresColumnsNamedForPeople = `
SELECT table_name, column_name, false
FROM information_schema.columns
WHERE table_schema = current_schema()
  AND column_name = 'person_id'`
	sqliteColumnsNamedForPeople = `
SELECT t.name, c.name, false
FROM sqlite_schema t
JOIN pragma_table_info(t.name) c
WHERE t.type = 'table'
  AND c.name = 'person_id'`
)

func TestDeletingAPersonEmptiesEveryTableThatRefersToPeople(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database.DB) {
		references, named := sqliteReferencesToPeople, sqliteColumnsNamedForPeople
		if db.Pool() != nil {
			references, named = postgresReferencesToPeople, postgresColumnsNamedForPeople
		}
		tables := columns(t, db, references)
		for table := range columns(t, db, named) {
			if _, ok := tables[table]; !ok {
				t.Errorf("%s has a person_id that REFERENCES no people (id): add it in the migration of both databases", table)
			}
		}
		insert(t, db.People(), record(1), record(2))
		for table, reference := range tables {
			row, ok := rowsOfPeople[table]
			if !ok {
				if !reference.cascades {
					t.Errorf("table %s refers to people without ON DELETE CASCADE: add that, or a row to rowsOfPeople and a DELETE to people.Close", table)
				}
				continue
			}
			for n := 1; n <= 2; n++ {
				run(t, db, row, record(n).ID, fmt.Sprintf("%043d", n))
			}
		}
		if _, err := db.People().Close(t.Context(), record(1).ID, nil, account.Audit{}); err != nil {
			t.Fatalf("delete: %v; a table that refers to people needs ON DELETE CASCADE, or a DELETE of its own in people.Close", err)
		}
		for table, reference := range tables {
			if rowsOfPeople[table] == "" {
				continue
			}
			for n, want := range map[int]int{1: 0, 2: 1} {
				query := fmt.Sprintf(`SELECT count(*) FROM %s WHERE %s = $1`, table, reference.column)
				if left := value[int](t, db, query, record(n).ID); left != want {
					t.Errorf("%s has %d rows of person %d, want %d", table, left, n, want)
				}
			}
		}
		for _, table := range slices.Sorted(maps.Keys(rowsOfPeople)) {
			if _, ok := tables[table]; !ok {
				t.Errorf("rowsOfPeople has a row for %s, which does not refer to people", table)
			}
		}
	})
}

// reference is a column that refers to people.
type reference struct {
	column   string
	cascades bool
}

// columns returns what query finds, by table.
func columns(t *testing.T, db *database.DB, query string) map[string]reference {
	t.Helper()
	rows, err := db.SQL().QueryContext(t.Context(), query)
	require.NoError(t, err)
	defer rows.Close()
	found := map[string]reference{}
	for rows.Next() {
		var table string
		var r reference
		require.NoError(t, rows.Scan(&table, &r.column, &r.cascades))
		found[table] = r
	}
	if err := rows.Err(); err != nil || len(found) == 0 {
		t.Fatalf("found %v: %v", found, err)
	}
	return found
}
