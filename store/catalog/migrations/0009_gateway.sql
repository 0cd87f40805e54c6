-- What calls of language models may cost, and what they did cost. Amounts are
-- thousand-millionths of a US dollar. Space is the environment.

-- +goose Up

-- A budget in one span of time. Caller is '' where all share it, since is the
-- beginning of the span. Settled is what was spent, but for what the leases
-- beside it say.
CREATE TABLE llm_budgets (
    space   TEXT   NOT NULL,
    llm     TEXT   NOT NULL,
    caller  TEXT   NOT NULL,
    since   BIGINT NOT NULL,
    settled BIGINT NOT NULL,
    PRIMARY KEY (space, llm, caller, since)
);

-- The part of a budget that one replica may spend without asking. Spent of
-- the amount is spent, reserved is held for calls under way; when the lease is
-- over, what is not spent goes back.
CREATE TABLE llm_leases (
    space      TEXT   NOT NULL,
    llm        TEXT   NOT NULL,
    caller     TEXT   NOT NULL,
    since      BIGINT NOT NULL,
    replica    TEXT   NOT NULL,
    amount     BIGINT NOT NULL,
    spent      BIGINT NOT NULL,
    reserved   BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (space, llm, caller, since, replica)
);

-- The ledger: one row a call. Ids sort by time. Details are a JSON object:
-- what nobody looks for costs a column of each of thousands of rows a second.
CREATE TABLE llm_calls (
    id      TEXT   NOT NULL PRIMARY KEY,
    space   TEXT   NOT NULL,
    llm     TEXT   NOT NULL,
    caller  TEXT   NOT NULL,
    at      BIGINT NOT NULL,
    cost    BIGINT NOT NULL,
    details TEXT   NOT NULL
);

-- What was spent on a day (UTC): kept when the calls themselves are let go.
CREATE TABLE llm_spend (
    space      TEXT   NOT NULL,
    day        BIGINT NOT NULL,
    llm        TEXT   NOT NULL,
    caller     TEXT   NOT NULL,
    deployment TEXT   NOT NULL,
    operation  TEXT   NOT NULL,
    calls      BIGINT NOT NULL,
    failed     BIGINT NOT NULL,
    input      BIGINT NOT NULL,
    cached     BIGINT NOT NULL,
    output     BIGINT NOT NULL,
    cost       BIGINT NOT NULL,
    PRIMARY KEY (space, day, llm, caller, deployment, operation)
);

-- How full the buckets of limits were, so that a restart does not fill them.
CREATE TABLE llm_levels (
    space    TEXT             NOT NULL,
    llm      TEXT             NOT NULL,
    caller   TEXT             NOT NULL,
    requests DOUBLE PRECISION NOT NULL,
    tokens   DOUBLE PRECISION NOT NULL,
    at       BIGINT           NOT NULL,
    PRIMARY KEY (space, llm, caller)
);

-- +goose Down
DROP TABLE llm_levels;
DROP TABLE llm_spend;
DROP TABLE llm_calls;
DROP TABLE llm_leases;
DROP TABLE llm_budgets;
