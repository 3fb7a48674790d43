-- +goose Up
-- The one session store that servers of this database use, for commands that
-- must not act on another. id is kept in the store itself; it is empty where
-- kind alone says which store it is, or where the store took no writes.
CREATE TABLE session_store (
    only_row    INTEGER NOT NULL PRIMARY KEY,
    kind        TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    place       TEXT    NOT NULL,
    recorded_ms INTEGER NOT NULL,
    CONSTRAINT session_store_only_row CHECK (only_row = 1)
) STRICT;
