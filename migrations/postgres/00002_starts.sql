-- +goose Up
-- One row for each start of a server process; number counts them without a gap.
CREATE TABLE starts (
    number     BIGINT PRIMARY KEY,
    instance   TEXT   NOT NULL,
    version    TEXT   NOT NULL,
    started_ms BIGINT NOT NULL,
    CONSTRAINT starts_number_positive CHECK (number > 0),
    CONSTRAINT starts_started_positive CHECK (started_ms > 0)
);
