-- What knowledge holds: documents, their versions, snapshots of their indexes
-- and which was live when.

-- +goose Up

-- Every version of every document that was ever read: the SHA-256 of its bytes,
-- and that of the text which was made of them. Both lie among the blobs.
CREATE TABLE knowledge_versions (
    space     TEXT   NOT NULL,
    knowledge TEXT   NOT NULL,
    document  TEXT   NOT NULL,
    version   TEXT   NOT NULL,
    text      TEXT   NOT NULL,
    bytes     BIGINT NOT NULL,
    text_size BIGINT NOT NULL,
    title     TEXT   NOT NULL,
    format    TEXT   NOT NULL,
    rendering BIGINT NOT NULL,
    seen_at   BIGINT NOT NULL,
    PRIMARY KEY (space, knowledge, document, version, text)
);

-- Documents as they are in the newest snapshot. Origin names the source, mark
-- the state of the document there; state is indexed, failed or withdrawn.
-- Readers is a JSON list. Prepared is the blob that has the document cut into
-- passages, with their vectors.
CREATE TABLE knowledge_documents (
    space      TEXT   NOT NULL,
    knowledge  TEXT   NOT NULL,
    document   TEXT   NOT NULL,
    origin     TEXT   NOT NULL,
    mark       TEXT   NOT NULL,
    state      TEXT   NOT NULL,
    version    TEXT   NOT NULL,
    text       TEXT   NOT NULL,
    prepared   TEXT   NOT NULL,
    readers    TEXT   NOT NULL,
    title      TEXT   NOT NULL,
    url        TEXT   NOT NULL,
    bytes      BIGINT NOT NULL,
    passages   BIGINT NOT NULL,
    reason     TEXT   NOT NULL,
    hint       TEXT   NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (space, knowledge, document)
);
CREATE INDEX knowledge_documents_state ON knowledge_documents (space, knowledge, state);

-- Where a source was read to: a high-water mark, the mark of a whole checkout.
CREATE TABLE knowledge_origins (
    space     TEXT   NOT NULL,
    knowledge TEXT   NOT NULL,
    origin    TEXT   NOT NULL,
    state     TEXT   NOT NULL,
    reason    TEXT   NOT NULL,
    seen_at   BIGINT NOT NULL,
    PRIMARY KEY (space, knowledge, origin)
);

-- Snapshots of an index. State is ready, rejected (by the gate) or dropped.
-- Measures and detail are JSON objects; content names what the snapshot was
-- made of.
CREATE TABLE knowledge_snapshots (
    space     TEXT   NOT NULL,
    knowledge TEXT   NOT NULL,
    name      TEXT   NOT NULL,
    seq       BIGINT NOT NULL,
    run       TEXT   NOT NULL,
    state     TEXT   NOT NULL,
    content   TEXT   NOT NULL,
    settings  TEXT   NOT NULL,
    embedder  TEXT   NOT NULL,
    documents BIGINT NOT NULL,
    passages  BIGINT NOT NULL,
    changed   BIGINT NOT NULL,
    removed   BIGINT NOT NULL,
    errors    BIGINT NOT NULL,
    measures  TEXT   NOT NULL,
    reason    TEXT   NOT NULL,
    made_at   BIGINT NOT NULL,
    PRIMARY KEY (space, knowledge, name)
);
CREATE UNIQUE INDEX knowledge_snapshots_seq ON knowledge_snapshots (space, knowledge, seq);

-- What was live since when. Held: somebody went back, and new snapshots do not
-- go live until that is over.
CREATE TABLE knowledge_live (
    space     TEXT    NOT NULL,
    knowledge TEXT    NOT NULL,
    seq       BIGINT  NOT NULL,
    snapshot  TEXT    NOT NULL,
    held      BOOLEAN NOT NULL,
    by        TEXT    NOT NULL,
    why       TEXT    NOT NULL,
    at        BIGINT  NOT NULL,
    PRIMARY KEY (space, knowledge, seq)
);

-- Documents that were sent. Fields is a JSON object.
CREATE TABLE knowledge_pushed (
    space     TEXT   NOT NULL,
    knowledge TEXT   NOT NULL,
    document  TEXT   NOT NULL,
    version   TEXT   NOT NULL,
    mime      TEXT   NOT NULL,
    title     TEXT   NOT NULL,
    url       TEXT   NOT NULL,
    readers   TEXT   NOT NULL,
    fields    TEXT   NOT NULL,
    bytes     BIGINT NOT NULL,
    by        TEXT   NOT NULL,
    at        BIGINT NOT NULL,
    PRIMARY KEY (space, knowledge, document)
);

-- +goose Down
DROP TABLE knowledge_pushed;
DROP TABLE knowledge_live;
DROP TABLE knowledge_snapshots;
DROP TABLE knowledge_origins;
DROP TABLE knowledge_documents;
DROP TABLE knowledge_versions;
