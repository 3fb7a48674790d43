-- +goose Up
-- When an account is to be deleted, by the database's clock. Until then no one can log
-- in, and its owner can keep it.
ALTER TABLE people ADD COLUMN delete_after_ms BIGINT CONSTRAINT people_delete_after_positive CHECK (delete_after_ms > 0);

CREATE INDEX people_delete_after_idx ON people (delete_after_ms) WHERE delete_after_ms IS NOT NULL;
