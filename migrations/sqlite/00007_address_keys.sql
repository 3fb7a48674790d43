-- +goose Up
-- The form of an address that no two people share, beside the address. It is
-- empty in what a server of before writes that runs beside this one. Of the rows
-- here now, only ASCII letters are lowered: so much is the same in all databases.
ALTER TABLE links ADD COLUMN email_key TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN email_key TEXT NOT NULL DEFAULT '';

UPDATE links SET email_key = lower(detail);
UPDATE outbox SET email_key = lower(recipient);

CREATE INDEX links_way_back_idx ON links (email_key) WHERE purpose = 'undo' AND spent_ms IS NULL;
CREATE INDEX outbox_email_key_idx ON outbox (email_key);
