-- Streams: how far each partition has come, which ids it has decided, what its
-- windows hold, and the events that could not be dealt with. One micro-batch
-- is one row of each, whatever the number of its events. BYTEA is a type of
-- PostgreSQL; to SQLite it is a name, and what is written stays bytes.

-- +goose Up

-- Revision counts the changes that people made. Begin_at and begin_time are
-- where partitions begin that nobody has read yet. Generation counts how often
-- events that were decided are to be decided again, and letters the dead ones
-- that there ever were.
CREATE TABLE streams (
    name       TEXT    NOT NULL PRIMARY KEY,
    paused     BOOLEAN NOT NULL DEFAULT FALSE,
    revision   BIGINT  NOT NULL DEFAULT 0,
    begin_at   BIGINT  NOT NULL DEFAULT -1,
    begin_time BIGINT  NOT NULL DEFAULT 0,
    generation BIGINT  NOT NULL DEFAULT 0,
    letters    BIGINT  NOT NULL DEFAULT 0,
    dead_count BIGINT  NOT NULL DEFAULT 0,
    dead_bytes BIGINT  NOT NULL DEFAULT 0,
    changed_at BIGINT  NOT NULL DEFAULT 0,
    changed_by TEXT    NOT NULL DEFAULT ''
);

-- Epoch fences: who commits says the epoch of its claim. Beat changes with
-- every sign of life of the owner. Next_at is the offset to read next.
CREATE TABLE stream_partitions (
    stream      TEXT   NOT NULL,
    part        TEXT   NOT NULL,
    owner       TEXT   NOT NULL,
    epoch       BIGINT NOT NULL,
    beat        BIGINT NOT NULL DEFAULT 0,
    next_at     BIGINT NOT NULL,
    skip_before BIGINT NOT NULL DEFAULT 0,
    cut_at      BIGINT NOT NULL DEFAULT -1,
    newest      BIGINT NOT NULL,
    seq         BIGINT NOT NULL DEFAULT 0,
    snapshot    BIGINT NOT NULL DEFAULT 0,
    plans       TEXT   NOT NULL DEFAULT '',
    decided     BIGINT NOT NULL DEFAULT 0,
    known       BIGINT NOT NULL DEFAULT 0,
    filtered    BIGINT NOT NULL DEFAULT 0,
    late        BIGINT NOT NULL DEFAULT 0,
    dead        BIGINT NOT NULL DEFAULT 0,
    updated_at  BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (stream, part)
);

-- Ids are hashes of 16 bytes, one after the other.
CREATE TABLE stream_ids (
    stream TEXT   NOT NULL,
    part   TEXT   NOT NULL,
    seq    BIGINT NOT NULL,
    ids    BYTEA  NOT NULL,
    PRIMARY KEY (stream, part, seq)
);

-- What a batch added to the windows, until a snapshot holds it.
CREATE TABLE stream_deltas (
    stream TEXT   NOT NULL,
    part   TEXT   NOT NULL,
    seq    BIGINT NOT NULL,
    added  BYTEA  NOT NULL,
    PRIMARY KEY (stream, part, seq)
);

CREATE TABLE stream_snapshots (
    stream TEXT   NOT NULL,
    part   TEXT   NOT NULL,
    seq    BIGINT NOT NULL,
    piece  BIGINT NOT NULL,
    state  BYTEA  NOT NULL,
    PRIMARY KEY (stream, part, seq, piece)
);

-- Place is the offset of the event. Replay marks what is to be tried again.
CREATE TABLE stream_dead (
    stream      TEXT    NOT NULL,
    id          BIGINT  NOT NULL,
    part        TEXT    NOT NULL,
    place       BIGINT  NOT NULL,
    event       TEXT    NOT NULL,
    stage       TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    attempts    BIGINT  NOT NULL,
    failed_at   BIGINT  NOT NULL,
    happened_at BIGINT  NOT NULL,
    key         BYTEA   NOT NULL,
    headers     TEXT    NOT NULL,
    body        BYTEA   NOT NULL,
    size        BIGINT  NOT NULL,
    replay      BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (stream, id)
);
