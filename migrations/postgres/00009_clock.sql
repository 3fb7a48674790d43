-- +goose Up
-- What keeps the stamps of ended sessions in order when the database's clock goes
-- back. No end is stamped before floor_ms. When the clock is found far behind it, the
-- floor follows, and a new epoch begins.
CREATE TABLE clock (
    id       BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    epoch    TEXT   NOT NULL,
    floor_ms BIGINT NOT NULL
);

INSERT INTO clock (id, epoch, floor_ms) VALUES (1, '', 0);
