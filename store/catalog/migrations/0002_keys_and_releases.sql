-- Who made and ended an API key; a release is looked up by its id alone.

-- +goose Up

ALTER TABLE api_keys ADD COLUMN created_by TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN revoked_by TEXT NOT NULL DEFAULT '';
CREATE INDEX releases_id ON releases (id);
