-- What was last brought from the lake to the online store, by view and
-- definition: how far the next one has to go back, and how fresh it is.

-- +goose Up

-- Space is the environment. Table_name has the hash of the definition. Times
-- are microseconds since 1970; entities are those of the last time that all of
-- them were written.
CREATE TABLE feature_materialisations (
    space       TEXT    NOT NULL,
    table_name  TEXT    NOT NULL,
    view_name   TEXT    NOT NULL,
    run         TEXT    NOT NULL,
    to_at       BIGINT  NOT NULL,
    complete    BOOLEAN NOT NULL,
    entities    BIGINT  NOT NULL,
    written     BIGINT  NOT NULL,
    finished_at BIGINT  NOT NULL,
    PRIMARY KEY (space, table_name)
);

-- +goose Down
DROP TABLE feature_materialisations;
