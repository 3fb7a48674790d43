-- +goose Up
-- Keys are compared byte by byte, whatever the collation of the database.
CREATE TABLE people (
    id            TEXT COLLATE "C" PRIMARY KEY,
    name          TEXT   NOT NULL,
    email         TEXT   NOT NULL,
    email_key     TEXT COLLATE "C" NOT NULL,
    password_hash TEXT   NOT NULL,
    created_ms    BIGINT NOT NULL,
    disabled_ms   BIGINT,
    CONSTRAINT people_email_key_unique UNIQUE (email_key),
    CONSTRAINT people_id_length CHECK (octet_length(id) = 22),
    CONSTRAINT people_name_length CHECK (char_length(name) BETWEEN 1 AND 80),
    CONSTRAINT people_email_length CHECK (octet_length(email) BETWEEN 3 AND 254),
    CONSTRAINT people_email_key_length CHECK (octet_length(email_key) BETWEEN 3 AND 254),
    CONSTRAINT people_password_hash_kind CHECK (password_hash LIKE '$argon2id$%'),
    CONSTRAINT people_created_positive CHECK (created_ms > 0),
    CONSTRAINT people_disabled_positive CHECK (disabled_ms > 0)
);
