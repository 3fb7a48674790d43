-- +goose Up
-- epoch counts how often the password was set: a log-in that rests on an
-- earlier one does not stand.
ALTER TABLE people
    ADD COLUMN verified_ms BIGINT,
    ADD COLUMN epoch       BIGINT NOT NULL DEFAULT 0,
    DROP CONSTRAINT people_name_length,
    ADD CONSTRAINT people_name_length CHECK (char_length(name) BETWEEN 1 AND 120),
    ADD CONSTRAINT people_verified_positive CHECK (verified_ms > 0);

-- Tries that are counted, and from when on the next one is let through.
CREATE TABLE throttle (
    key     TEXT COLLATE "C" PRIMARY KEY,
    tries   BIGINT NOT NULL,
    next_ms BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    CONSTRAINT throttle_key_length CHECK (octet_length(key) BETWEEN 1 AND 200),
    CONSTRAINT throttle_tries_positive CHECK (tries > 0)
);

CREATE INDEX throttle_last_idx ON throttle (last_ms);

-- Browsers that have logged in to an account before, by the hash of what their
-- device cookie holds.
CREATE TABLE browsers (
    hash       TEXT COLLATE "C" PRIMARY KEY,
    person_id  TEXT COLLATE "C" NOT NULL REFERENCES people (id),
    created_ms BIGINT NOT NULL,
    used_ms    BIGINT NOT NULL,
    CONSTRAINT browsers_hash_length CHECK (octet_length(hash) = 43)
);

CREATE INDEX browsers_person_idx ON browsers (person_id);

-- Mailed links, by the hash of their token. detail is what the link is about:
-- the address it confirms, takes or brings back.
CREATE TABLE links (
    hash       TEXT COLLATE "C" PRIMARY KEY,
    purpose    TEXT   NOT NULL,
    person_id  TEXT COLLATE "C" NOT NULL REFERENCES people (id),
    detail     TEXT   NOT NULL,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    spent_ms   BIGINT,
    CONSTRAINT links_hash_length CHECK (octet_length(hash) = 43),
    CONSTRAINT links_expires_later CHECK (expires_ms > created_ms)
);

CREATE INDEX links_person_idx ON links (person_id);
CREATE INDEX links_expires_idx ON links (expires_ms);

-- Mail on its way. It is written with what it tells, and removed when a mail
-- server has taken it. about is the id of a person, or "" for an address of which
-- only its owner, if any, may be told, and in the last mail to somebody who has
-- left. turn_ms is when a sender may take it next.
CREATE TABLE outbox (
    id         TEXT COLLATE "C" PRIMARY KEY,
    kind       TEXT   NOT NULL,
    about      TEXT COLLATE "C" NOT NULL,
    recipient  TEXT   NOT NULL,
    facts      TEXT   NOT NULL,
    created_ms BIGINT NOT NULL,
    turn_ms    BIGINT NOT NULL,
    tries      BIGINT NOT NULL DEFAULT 0
);

CREATE INDEX outbox_turn_idx ON outbox (turn_ms);
CREATE INDEX outbox_about_idx ON outbox (about);

-- What happened to an account. Rows are added and, when they are old, removed.
CREATE TABLE history (
    id         TEXT COLLATE "C" PRIMARY KEY,
    person_id  TEXT COLLATE "C" NOT NULL REFERENCES people (id),
    event      TEXT   NOT NULL,
    at_ms      BIGINT NOT NULL,
    user_agent TEXT   NOT NULL,
    address    TEXT   NOT NULL,
    CONSTRAINT history_user_agent_length CHECK (octet_length(user_agent) <= 400)
);

CREATE INDEX history_person_idx ON history (person_id, at_ms);
CREATE INDEX history_at_idx ON history (at_ms);

-- Sessions that the database has ended, by the store's name for them. removed_ms
-- is when the store had let go of them; until the deadline they stay, so that
-- a store put back from an older copy does not bring them back.
CREATE TABLE revocations (
    session_key TEXT COLLATE "C" PRIMARY KEY,
    ended_ms    BIGINT NOT NULL,
    deadline_ms BIGINT NOT NULL,
    removed_ms  BIGINT,
    CONSTRAINT revocations_session_key_length CHECK (octet_length(session_key) = 43)
);

CREATE INDEX revocations_waiting_idx ON revocations (ended_ms) WHERE removed_ms IS NULL;
CREATE INDEX revocations_deadline_idx ON revocations (deadline_ms);
