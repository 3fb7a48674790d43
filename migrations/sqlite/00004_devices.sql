-- +goose Up
-- One row for each log-in: the list of a person's devices, and what ended.
-- Only the session store says that a session lives.
CREATE TABLE devices (
    id          TEXT    NOT NULL PRIMARY KEY,
    person_id   TEXT    NOT NULL REFERENCES people (id),
    session_key TEXT    NOT NULL,
    user_agent  TEXT    NOT NULL,
    address     TEXT    NOT NULL,
    remembered  INTEGER NOT NULL,
    created_ms  INTEGER NOT NULL,
    deadline_ms INTEGER NOT NULL,
    ended_ms    INTEGER,
    ended_how   TEXT,
    CONSTRAINT devices_session_key_unique UNIQUE (session_key),
    CONSTRAINT devices_session_key_length CHECK (length(CAST(session_key AS BLOB)) = 43),
    CONSTRAINT devices_user_agent_length CHECK (length(CAST(user_agent AS BLOB)) <= 400),
    CONSTRAINT devices_created_positive CHECK (created_ms > 0),
    CONSTRAINT devices_deadline_later CHECK (deadline_ms > created_ms),
    CONSTRAINT devices_ended_whole CHECK ((ended_ms IS NULL) = (ended_how IS NULL))
) STRICT;

CREATE INDEX devices_live_idx ON devices (person_id, created_ms) WHERE ended_ms IS NULL;
CREATE INDEX devices_past_idx ON devices (person_id, ended_ms) WHERE ended_ms IS NOT NULL;
CREATE INDEX devices_ended_idx ON devices (ended_ms) WHERE ended_ms IS NOT NULL;
