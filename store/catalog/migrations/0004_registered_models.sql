-- What may change about models and their versions: descriptions, tags, stages,
-- names, marks of deletion. The versions themselves stay as they are. And the
-- webhooks that are told of changes.

-- +goose Up

-- A deleted_at of 0 means that the model is there. A name that was deleted and
-- is used again goes on with its numbers.
CREATE TABLE models (
    name        TEXT   NOT NULL PRIMARY KEY,
    description TEXT   NOT NULL DEFAULT '',
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    deleted_at  BIGINT NOT NULL DEFAULT 0
);
INSERT INTO models (name, created_at, updated_at)
    SELECT model, MIN(created_at), MAX(created_at) FROM model_versions GROUP BY model;

CREATE TABLE model_tags (
    model TEXT NOT NULL,
    key   TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (model, key)
);

-- Content is the id that the version's manifest has without an edition. Run
-- and source are copies of what its lineage says. All three are to find by.
CREATE TABLE version_notes (
    model       TEXT   NOT NULL,
    number      BIGINT NOT NULL,
    content     TEXT   NOT NULL,
    description TEXT   NOT NULL DEFAULT '',
    stage       TEXT   NOT NULL DEFAULT '',
    run         TEXT   NOT NULL DEFAULT '',
    source      TEXT   NOT NULL DEFAULT '',
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    deleted_at  BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (model, number)
);
CREATE INDEX version_notes_run ON version_notes (run);
CREATE INDEX version_notes_content ON version_notes (model, content);
INSERT INTO version_notes (model, number, content, created_at, updated_at)
    SELECT model, number, id, created_at, created_at FROM model_versions;

CREATE TABLE version_tags (
    model  TEXT   NOT NULL,
    number BIGINT NOT NULL,
    key    TEXT   NOT NULL,
    value  TEXT   NOT NULL,
    PRIMARY KEY (model, number, key)
);

-- Versions up to a number that were registered under an older name: releases
-- that were made before go on naming it.
CREATE TABLE model_renames (
    old     TEXT   NOT NULL,
    current TEXT   NOT NULL,
    upto    BIGINT NOT NULL,
    PRIMARY KEY (old, current)
);

-- Events are a JSON array. The secret is what deliveries are signed with, and is
-- never told again; who can read the catalog can read it.
CREATE TABLE webhooks (
    id          TEXT   NOT NULL PRIMARY KEY,
    name        TEXT   NOT NULL,
    description TEXT   NOT NULL,
    url         TEXT   NOT NULL,
    events      TEXT   NOT NULL,
    secret      TEXT   NOT NULL,
    status      TEXT   NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);

-- What webhooks have yet to be told, written with the change itself. A row
-- goes once it was told, or given up.
CREATE TABLE webhook_outbox (
    id       TEXT   NOT NULL PRIMARY KEY,
    webhook  TEXT   NOT NULL,
    payload  TEXT   NOT NULL,
    made_at  BIGINT NOT NULL,
    due_at   BIGINT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX webhook_outbox_due ON webhook_outbox (due_at);
CREATE INDEX webhook_outbox_of ON webhook_outbox (webhook);
