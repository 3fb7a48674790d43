-- +goose Up
-- SQLite changes a CHECK only in a new table. References to people are looked
-- at when the step is committed: then everybody is there again.
PRAGMA defer_foreign_keys = ON;

CREATE TABLE people_before AS SELECT * FROM people;

DROP TABLE people;

-- epoch counts how often the password was set: a log-in that rests on an
-- earlier one does not stand.
CREATE TABLE people (
    id            TEXT    NOT NULL PRIMARY KEY,
    name          TEXT    NOT NULL,
    email         TEXT    NOT NULL,
    email_key     TEXT    NOT NULL,
    password_hash TEXT    NOT NULL,
    created_ms    INTEGER NOT NULL,
    disabled_ms   INTEGER,
    verified_ms   INTEGER,
    epoch         INTEGER NOT NULL DEFAULT 0,
    CONSTRAINT people_email_key_unique UNIQUE (email_key),
    CONSTRAINT people_id_length CHECK (length(CAST(id AS BLOB)) = 22),
    CONSTRAINT people_name_length CHECK (length(name) BETWEEN 1 AND 120),
    CONSTRAINT people_email_length CHECK (length(CAST(email AS BLOB)) BETWEEN 3 AND 254),
    CONSTRAINT people_email_key_length CHECK (length(CAST(email_key AS BLOB)) BETWEEN 3 AND 254),
    CONSTRAINT people_password_hash_kind CHECK (password_hash GLOB '$argon2id$*'),
    CONSTRAINT people_created_positive CHECK (created_ms > 0),
    CONSTRAINT people_disabled_positive CHECK (disabled_ms > 0),
    CONSTRAINT people_verified_positive CHECK (verified_ms > 0)
) STRICT;

INSERT INTO people (id, name, email, email_key, password_hash, created_ms, disabled_ms)
SELECT id, name, email, email_key, password_hash, created_ms, disabled_ms
FROM people_before;

DROP TABLE people_before;

-- Tries that are counted, and from when on the next one is let through.
CREATE TABLE throttle (
    key     TEXT    NOT NULL PRIMARY KEY,
    tries   INTEGER NOT NULL,
    next_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    CONSTRAINT throttle_key_length CHECK (length(CAST(key AS BLOB)) BETWEEN 1 AND 200),
    CONSTRAINT throttle_tries_positive CHECK (tries > 0)
) STRICT;

CREATE INDEX throttle_last_idx ON throttle (last_ms);

-- Browsers that have logged in to an account before, by the hash of what their
-- device cookie holds.
CREATE TABLE browsers (
    hash       TEXT    NOT NULL PRIMARY KEY,
    person_id  TEXT    NOT NULL REFERENCES people (id),
    created_ms INTEGER NOT NULL,
    used_ms    INTEGER NOT NULL,
    CONSTRAINT browsers_hash_length CHECK (length(CAST(hash AS BLOB)) = 43)
) STRICT;

CREATE INDEX browsers_person_idx ON browsers (person_id);

-- Mailed links, by the hash of their token. detail is what the link is about:
-- the address it confirms, takes or brings back.
CREATE TABLE links (
    hash       TEXT    NOT NULL PRIMARY KEY,
    purpose    TEXT    NOT NULL,
    person_id  TEXT    NOT NULL REFERENCES people (id),
    detail     TEXT    NOT NULL,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    spent_ms   INTEGER,
    CONSTRAINT links_hash_length CHECK (length(CAST(hash AS BLOB)) = 43),
    CONSTRAINT links_expires_later CHECK (expires_ms > created_ms)
) STRICT;

CREATE INDEX links_person_idx ON links (person_id);
CREATE INDEX links_expires_idx ON links (expires_ms);

-- Mail on its way. It is written with what it tells, and removed when a mail
-- server has taken it. about is the id of a person, or "" for an address of which
-- only its owner, if any, may be told, and in the last mail to somebody who has
-- left. turn_ms is when a sender may take it next.
CREATE TABLE outbox (
    id         TEXT    NOT NULL PRIMARY KEY,
    kind       TEXT    NOT NULL,
    about      TEXT    NOT NULL,
    recipient  TEXT    NOT NULL,
    facts      TEXT    NOT NULL,
    created_ms INTEGER NOT NULL,
    turn_ms    INTEGER NOT NULL,
    tries      INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX outbox_turn_idx ON outbox (turn_ms);
CREATE INDEX outbox_about_idx ON outbox (about);

-- What happened to an account. Rows are added and, when they are old, removed.
CREATE TABLE history (
    id         TEXT    NOT NULL PRIMARY KEY,
    person_id  TEXT    NOT NULL REFERENCES people (id),
    event      TEXT    NOT NULL,
    at_ms      INTEGER NOT NULL,
    user_agent TEXT    NOT NULL,
    address    TEXT    NOT NULL,
    CONSTRAINT history_user_agent_length CHECK (length(CAST(user_agent AS BLOB)) <= 400)
) STRICT;

CREATE INDEX history_person_idx ON history (person_id, at_ms);
CREATE INDEX history_at_idx ON history (at_ms);

-- Sessions that the database has ended, by the store's name for them. removed_ms
-- is when the store had let go of them; until the deadline they stay, so that
-- a store put back from an older copy does not bring them back.
CREATE TABLE revocations (
    session_key TEXT    NOT NULL PRIMARY KEY,
    ended_ms    INTEGER NOT NULL,
    deadline_ms INTEGER NOT NULL,
    removed_ms  INTEGER,
    CONSTRAINT revocations_session_key_length CHECK (length(CAST(session_key AS BLOB)) = 43)
) STRICT;

CREATE INDEX revocations_waiting_idx ON revocations (ended_ms) WHERE removed_ms IS NULL;
CREATE INDEX revocations_deadline_idx ON revocations (deadline_ms);
