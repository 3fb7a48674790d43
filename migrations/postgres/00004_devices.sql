-- +goose Up
-- One row for each log-in: the list of a person's devices, and what ended.
-- Only the session store says that a session lives.
CREATE TABLE devices (
    id          TEXT COLLATE "C" PRIMARY KEY,
    person_id   TEXT COLLATE "C" NOT NULL REFERENCES people (id),
    session_key TEXT COLLATE "C" NOT NULL,
    user_agent  TEXT    NOT NULL,
    address     TEXT    NOT NULL,
    remembered  BOOLEAN NOT NULL,
    created_ms  BIGINT  NOT NULL,
    deadline_ms BIGINT  NOT NULL,
    ended_ms    BIGINT,
    ended_how   TEXT,
    CONSTRAINT devices_session_key_unique UNIQUE (session_key),
    CONSTRAINT devices_session_key_length CHECK (octet_length(session_key) = 43),
    CONSTRAINT devices_user_agent_length CHECK (octet_length(user_agent) <= 400),
    CONSTRAINT devices_created_positive CHECK (created_ms > 0),
    CONSTRAINT devices_deadline_later CHECK (deadline_ms > created_ms),
    CONSTRAINT devices_ended_whole CHECK ((ended_ms IS NULL) = (ended_how IS NULL))
);

CREATE INDEX devices_live_idx ON devices (person_id, created_ms) WHERE ended_ms IS NULL;
CREATE INDEX devices_past_idx ON devices (person_id, ended_ms) WHERE ended_ms IS NOT NULL;
CREATE INDEX devices_ended_idx ON devices (ended_ms) WHERE ended_ms IS NOT NULL;
