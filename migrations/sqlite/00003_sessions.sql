-- +goose Up
-- For SESSION_STORE=database, in the shape that scs sqlite3store asks for.
-- Expiry is a Julian day.
CREATE TABLE sessions (
    token  TEXT NOT NULL PRIMARY KEY,
    data   BLOB NOT NULL,
    expiry REAL NOT NULL
) STRICT;

CREATE INDEX sessions_expiry_idx ON sessions (expiry);
