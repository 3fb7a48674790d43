package database

// SmallPages has long jobs take so many rows in a statement, or of RevokeAll
// in PostgreSQL those of one block, some 50.
func (db *DB) SmallPages(rows int) {
	db.page = rows
	if db.places.step = int64(rows); db.pool != nil {
		db.places.step = 1
	}
}
