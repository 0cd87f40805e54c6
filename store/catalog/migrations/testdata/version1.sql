-- A database of version 1, in SQL that both kinds understand.
CREATE TABLE schema_versions (id INTEGER PRIMARY KEY, version_id BIGINT NOT NULL, is_applied BOOLEAN NOT NULL, tstamp TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
INSERT INTO schema_versions (version_id, is_applied) VALUES (0, TRUE), (1, TRUE);
CREATE TABLE sequences (
    name  TEXT   NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
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
CREATE TABLE ledger (
    scope       TEXT   NOT NULL,
    key         TEXT   NOT NULL,
    fingerprint TEXT   NOT NULL,
    decision    TEXT   NOT NULL,
    expires_at  BIGINT NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX ledger_expires ON ledger (expires_at);
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
INSERT INTO sequences (name, value) VALUES ('signals', 1);
INSERT INTO resources (env, kind, name, hash, spec, applied_at, applied_by) VALUES ('prod', 'Source', 's', 'h', '{}', 1, 'me');
INSERT INTO applies (id, env, at, by, plan) VALUES ('apply-1', 'prod', 1, 'me', '{}');
INSERT INTO model_versions (model, number, id, body, created_at) VALUES ('m', 1, 'abc', '{}', 1);
INSERT INTO aliases (model, alias, version, at, by) VALUES ('m', 'champion', 1, 1, 'me');
INSERT INTO alias_history (seq, model, alias, version, at, by) VALUES (1, 'm', 'champion', 1, 1, 'me');
INSERT INTO releases (endpoint, number, id, body, created_at) VALUES ('e', 1, 'abc', '{}', 1);
INSERT INTO endpoint_live (endpoint, release, number) VALUES ('e', 'abc', 1);
INSERT INTO endpoint_history (seq, endpoint, release, number, at, by, why) VALUES (1, 'e', 'abc', 1, 1, 'me', 'deploy');
INSERT INTO api_keys (id, name, hash, groups, grants, created_at) VALUES ('1', 'n', 'h', '[]', '[]', 1);
INSERT INTO ledger (scope, key, fingerprint, decision, expires_at) VALUES ('e', 'k', 'f', '{}', 1);
INSERT INTO signals (seq, monitor, signal, at, window_start, window_end, rows, value, threshold, fired, release) VALUES (1, 'm', 'psi', 1, 1, 2, 3, 0.5, 0.2, TRUE, 'abc');
INSERT INTO ingests (source, name, digest, rows, quarantined, snapshot, at) VALUES ('s', 'f', 'd', 1, 0, 9, 1)
