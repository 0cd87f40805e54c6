-- Events of the house and what triggers start because of them.

-- +goose Up

-- An event is written once under its id, in the transaction of what it tells
-- where that is of the catalog. Seq has no gaps. Depth counts the triggers that
-- led to it, one after the other. Fields are a JSON object. Told is set when
-- every trigger has seen it.
CREATE TABLE events (
    seq     BIGINT  NOT NULL PRIMARY KEY,
    id      TEXT    NOT NULL,
    type    TEXT    NOT NULL,
    subject TEXT    NOT NULL,
    by      TEXT    NOT NULL,
    at      BIGINT  NOT NULL,
    depth   BIGINT  NOT NULL DEFAULT 0,
    fields  TEXT    NOT NULL,
    told    BOOLEAN NOT NULL DEFAULT FALSE
);
CREATE UNIQUE INDEX events_id ON events (id);
CREATE INDEX events_untold ON events (seq) WHERE told = FALSE;
CREATE INDEX events_at ON events (at);

-- What an event starts, once for each trigger. State is waiting, started,
-- told (a webhook, which has an outbox of its own), failed or refused.
CREATE TABLE trigger_starts (
    name     TEXT   NOT NULL,
    event    TEXT   NOT NULL,
    kind     TEXT   NOT NULL,
    target   TEXT   NOT NULL,
    run      TEXT   NOT NULL,
    by       TEXT   NOT NULL,
    depth    BIGINT NOT NULL,
    state    TEXT   NOT NULL,
    reason   TEXT   NOT NULL DEFAULT '',
    attempts BIGINT NOT NULL DEFAULT 0,
    due_at   BIGINT NOT NULL,
    made_at  BIGINT NOT NULL,
    PRIMARY KEY (name, event)
);
CREATE INDEX trigger_starts_event ON trigger_starts (event);
CREATE INDEX trigger_starts_run ON trigger_starts (run);
CREATE INDEX trigger_starts_due ON trigger_starts (due_at) WHERE state = 'waiting';

-- The columns that a source's rows were last seen to have, as a JSON object.
CREATE TABLE source_columns (
    source  TEXT NOT NULL PRIMARY KEY,
    columns TEXT NOT NULL
);

-- Files of sources that are watched. Mark tells one state of a file from
-- another (size and time, or a digest); landed is the mark that was told.
CREATE TABLE watched_files (
    source TEXT   NOT NULL,
    name   TEXT   NOT NULL,
    mark   TEXT   NOT NULL,
    landed TEXT   NOT NULL DEFAULT '',
    seen   BIGINT NOT NULL,
    PRIMARY KEY (source, name)
);
CREATE TABLE watched_sources (
    source TEXT   NOT NULL PRIMARY KEY,
    place  TEXT   NOT NULL,
    since  BIGINT NOT NULL
);
