-- Experiments, their runs, and what people log to them: see flow/track.
-- What is read as a whole is one JSON body. seq grows with every change within
-- an experiment (or among the experiments), so that whoever keeps rows in
-- memory asks only for those that changed. Times are milliseconds here, as
-- clients log them.

-- +goose Up

CREATE TABLE experiments (
    id   BIGINT NOT NULL PRIMARY KEY,
    name TEXT   NOT NULL UNIQUE,
    seq  BIGINT NOT NULL,
    body TEXT   NOT NULL
);
CREATE INDEX experiments_seq ON experiments (seq);

-- latest holds the last value of each metric, apart from the rest of the run
-- because it changes so much more often.
CREATE TABLE tracked_runs (
    number     BIGINT NOT NULL PRIMARY KEY,
    id         TEXT   NOT NULL UNIQUE,
    experiment BIGINT NOT NULL,
    seq        BIGINT NOT NULL,
    body       TEXT   NOT NULL,
    latest     TEXT   NOT NULL,
    FOREIGN KEY (experiment) REFERENCES experiments (id)
);
CREATE INDEX tracked_runs_of ON tracked_runs (experiment, seq);

-- Every value of a metric. value is the bits of a 64-bit float, turned so that
-- they sort as the floats do, because NaN and the infinities are values too.
CREATE TABLE tracked_metrics (
    run   BIGINT NOT NULL,
    key   TEXT   NOT NULL,
    at    BIGINT NOT NULL,
    step  BIGINT NOT NULL,
    value BIGINT NOT NULL,
    PRIMARY KEY (run, key, at, step, value),
    FOREIGN KEY (run) REFERENCES tracked_runs (number)
);

CREATE TABLE tracked_datasets (
    experiment  BIGINT NOT NULL,
    name        TEXT   NOT NULL,
    digest      TEXT   NOT NULL,
    source_type TEXT   NOT NULL,
    source      TEXT   NOT NULL,
    schema      TEXT   NOT NULL,
    profile     TEXT   NOT NULL,
    PRIMARY KEY (experiment, name, digest),
    FOREIGN KEY (experiment) REFERENCES experiments (id)
);

CREATE TABLE logged_models (
    id         TEXT   NOT NULL PRIMARY KEY,
    experiment BIGINT NOT NULL,
    seq        BIGINT NOT NULL,
    body       TEXT   NOT NULL,
    metrics    TEXT   NOT NULL,
    FOREIGN KEY (experiment) REFERENCES experiments (id)
);
CREATE INDEX logged_models_of ON logged_models (experiment, seq);

-- A folder has no digest.
CREATE TABLE artifacts (
    path   TEXT   NOT NULL PRIMARY KEY,
    parent TEXT   NOT NULL,
    digest TEXT   NOT NULL,
    size   BIGINT NOT NULL,
    at     BIGINT NOT NULL,
    by     TEXT   NOT NULL
);
CREATE INDEX artifacts_in ON artifacts (parent, path);
