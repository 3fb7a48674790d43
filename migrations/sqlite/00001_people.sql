-- +goose Up
-- The casts to BLOB make length() count bytes, and see beyond a NUL.
CREATE TABLE people (
    id            TEXT    NOT NULL PRIMARY KEY,
    name          TEXT    NOT NULL,
    email         TEXT    NOT NULL,
    email_key     TEXT    NOT NULL,
    password_hash TEXT    NOT NULL,
    created_ms    INTEGER NOT NULL,
    disabled_ms   INTEGER,
    CONSTRAINT people_email_key_unique UNIQUE (email_key),
    CONSTRAINT people_id_length CHECK (length(CAST(id AS BLOB)) = 22),
    CONSTRAINT people_name_length CHECK (length(name) BETWEEN 1 AND 80),
    CONSTRAINT people_email_length CHECK (length(CAST(email AS BLOB)) BETWEEN 3 AND 254),
    CONSTRAINT people_email_key_length CHECK (length(CAST(email_key AS BLOB)) BETWEEN 3 AND 254),
    CONSTRAINT people_password_hash_kind CHECK (password_hash GLOB '$argon2id$*'),
    CONSTRAINT people_created_positive CHECK (created_ms > 0),
    CONSTRAINT people_disabled_positive CHECK (disabled_ms > 0)
) STRICT;
