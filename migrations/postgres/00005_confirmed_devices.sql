-- +goose Up
-- A device counts once its session is stored. Rows of before, and of servers of
-- before that run beside this one, count from the start.
ALTER TABLE devices ADD COLUMN confirmed BOOLEAN NOT NULL DEFAULT TRUE;

-- For going through the keys of ended devices, and a person's devices, page by page.
DROP INDEX devices_ended_idx;
CREATE INDEX devices_ended_idx ON devices (ended_ms, id) INCLUDE (session_key, deadline_ms) WHERE ended_ms IS NOT NULL;
CREATE INDEX devices_person_idx ON devices (person_id, id);

-- When a job that one of all servers does now and then was done last.
CREATE TABLE jobs (
    name   TEXT   NOT NULL PRIMARY KEY,
    ran_ms BIGINT NOT NULL
);

INSERT INTO jobs (name, ran_ms) VALUES ('forget devices', 0);
