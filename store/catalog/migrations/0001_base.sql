-- The tables of the first version. Frozen: a change is a new file.

-- +goose Up

-- One row for each numbered table: see catalog.Next.
CREATE TABLE sequences (
    name  TEXT   NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);

-- What apply declared last, for each environment.
CREATE TABLE resources (
    env        TEXT   NOT NULL,
    kind       TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    hash       TEXT   NOT NULL,
    spec       TEXT   NOT NULL,
    applied_at BIGINT NOT NULL,
    applied_by TEXT   NOT NULL,
    PRIMARY KEY (env, kind, name)
);

CREATE TABLE applies (
    id   TEXT   NOT NULL PRIMARY KEY,
    env  TEXT   NOT NULL DEFAULT '',
    at   BIGINT NOT NULL,
    by   TEXT   NOT NULL,
    plan TEXT   NOT NULL
);
CREATE INDEX applies_at ON applies (at);

CREATE TABLE model_versions (
    model      TEXT   NOT NULL,
    number     BIGINT NOT NULL,
    id         TEXT   NOT NULL,
    body       TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (model, number),
    UNIQUE (model, id)
);

CREATE TABLE aliases (
    model   TEXT   NOT NULL,
    alias   TEXT   NOT NULL,
    version BIGINT NOT NULL,
    at      BIGINT NOT NULL,
    by      TEXT   NOT NULL,
    PRIMARY KEY (model, alias),
    FOREIGN KEY (model, version) REFERENCES model_versions (model, number)
);

-- Version 0: the alias was removed.
CREATE TABLE alias_history (
    seq     BIGINT NOT NULL PRIMARY KEY,
    model   TEXT   NOT NULL,
    alias   TEXT   NOT NULL,
    version BIGINT NOT NULL,
    at      BIGINT NOT NULL,
    by      TEXT   NOT NULL
);
CREATE INDEX alias_history_of ON alias_history (model, alias, seq);

CREATE TABLE releases (
    endpoint   TEXT   NOT NULL,
    number     BIGINT NOT NULL,
    id         TEXT   NOT NULL,
    body       TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (endpoint, number),
    UNIQUE (endpoint, id)
);

CREATE TABLE endpoint_live (
    endpoint TEXT   NOT NULL PRIMARY KEY,
    release  TEXT   NOT NULL,
    number   BIGINT NOT NULL,
    FOREIGN KEY (endpoint, number) REFERENCES releases (endpoint, number)
);

CREATE TABLE endpoint_history (
    seq      BIGINT NOT NULL PRIMARY KEY,
    endpoint TEXT   NOT NULL,
    release  TEXT   NOT NULL,
    number   BIGINT NOT NULL,
    at       BIGINT NOT NULL,
    by       TEXT   NOT NULL,
    why      TEXT   NOT NULL
);
CREATE INDEX endpoint_history_of ON endpoint_history (endpoint, seq);

-- The hash alone is kept of a key. Groups and grants are JSON. An
-- expires_at or revoked_at of 0 means never.
CREATE TABLE api_keys (
    id         TEXT   NOT NULL PRIMARY KEY,
    name       TEXT   NOT NULL UNIQUE,
    hash       TEXT   NOT NULL UNIQUE,
    groups     TEXT   NOT NULL,
    grants     TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL DEFAULT 0,
    revoked_at BIGINT NOT NULL DEFAULT 0
);

-- What was decided already: the same key with the same fingerprint is
-- answered from here, with another one it is refused.
CREATE TABLE ledger (
    scope       TEXT   NOT NULL,
    key         TEXT   NOT NULL,
    fingerprint TEXT   NOT NULL,
    decision    TEXT   NOT NULL,
    expires_at  BIGINT NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX ledger_expires ON ledger (expires_at);

-- What monitors measured, in windows of decisions.
CREATE TABLE signals (
    seq          BIGINT           NOT NULL PRIMARY KEY,
    monitor      TEXT             NOT NULL,
    signal       TEXT             NOT NULL,
    at           BIGINT           NOT NULL,
    window_start BIGINT           NOT NULL,
    window_end   BIGINT           NOT NULL,
    rows         BIGINT           NOT NULL,
    value        DOUBLE PRECISION,
    threshold    DOUBLE PRECISION,
    fired        BOOLEAN          NOT NULL,
    release      TEXT             NOT NULL
);
CREATE INDEX signals_of ON signals (monitor, signal, seq);

-- Which content of a source is in the lake already.
CREATE TABLE ingests (
    source      TEXT   NOT NULL,
    name        TEXT   NOT NULL,
    digest      TEXT   NOT NULL,
    rows        BIGINT NOT NULL,
    quarantined BIGINT NOT NULL,
    snapshot    BIGINT NOT NULL,
    at          BIGINT NOT NULL,
    PRIMARY KEY (source, name, digest)
);
