-- Versions of documents that were withdrawn and came back as something else.

-- +goose Up

-- Withdrawn is 1 for a version from before its document was withdrawn: who may
-- read what came back under that name need not have been allowed to read it.
ALTER TABLE knowledge_versions ADD COLUMN withdrawn BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE knowledge_versions DROP COLUMN withdrawn;
