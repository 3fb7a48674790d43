package database

// SmallPages sets how many rows one statement of a long job processes. RevokeAll in
// PostgreSQL then processes one block, some 50 rows.
func (db *DB) SmallPages(rows int) {
	db.page = rows
	if db.places.step = int64(rows); db.pool != nil {
		db.places.step = 1
	}
}
