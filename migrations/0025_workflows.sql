-- The processes that orders go through: definitions, how far each order is, and what happened on the way.

CREATE SCHEMA workflows;

CREATE TABLE workflows.definitions (
    code       text        COLLATE "C" PRIMARY KEY CHECK (length(code) BETWEEN 1 AND 32),
    name       text        NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    active     boolean     NOT NULL,
    channels   text[]      COLLATE "C" NOT NULL,
    steps      jsonb       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- Which of the active ones the orders of a channel go through; '' is for all others, and for those without a channel.
CREATE TABLE workflows.channels (
    channel text COLLATE "C" PRIMARY KEY,
    code    text COLLATE "C" NOT NULL REFERENCES workflows.definitions ON DELETE CASCADE
);

CREATE TABLE workflows.runs (
    order_id     uuid        PRIMARY KEY,
    order_number bigint      NOT NULL,
    channel      text        COLLATE "C",
    definition   text        COLLATE "C" NOT NULL,
    -- As they were when the order came.
    steps        jsonb       NOT NULL,
    status       text        COLLATE "C" NOT NULL CHECK (status IN ('running', 'stuck', 'compensating', 'completed', 'compensated')),
    step         integer     NOT NULL DEFAULT 0 CHECK (step >= 0),
    -- When its step began, and how often it was tried.
    since        timestamptz NOT NULL DEFAULT clock_timestamp(),
    attempts     integer     NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    approved     boolean     NOT NULL DEFAULT false,
    error        text        CHECK (length(error) <= 1000),
    due_at       timestamptz,
    -- When it is looked at again, should nothing happen before.
    wake_at      timestamptz,
    started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at     timestamptz,
    CHECK ((status IN ('completed', 'compensated')) = (ended_at IS NOT NULL)),
    CHECK (status <> 'stuck' OR error IS NOT NULL),
    CHECK (ended_at IS NULL OR wake_at IS NULL)
);
CREATE INDEX runs_status  ON workflows.runs (status, order_id);
CREATE INDEX runs_channel ON workflows.runs (channel, order_id) WHERE channel IS NOT NULL;
CREATE INDEX runs_wake    ON workflows.runs (wake_at) WHERE wake_at IS NOT NULL;

CREATE TABLE workflows.log (
    id       uuid        PRIMARY KEY,
    order_id uuid        NOT NULL REFERENCES workflows.runs,
    kind     text        COLLATE "C" NOT NULL,
    what     text        COLLATE "C" NOT NULL
        CHECK (what IN ('started', 'tried', 'done', 'failed', 'approved', 'retried', 'skipped', 'given_up', 'overdue')),
    attempt  integer     NOT NULL,
    detail   text        CHECK (length(detail) <= 1000),
    -- Who acted; none where it was the server.
    actor    text,
    at       timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX log_order ON workflows.log (order_id, id);

-- Why an order must not be shipped yet, as its process said last.
ALTER TABLE orders.orders ADD COLUMN held_for text CHECK (length(held_for) BETWEEN 1 AND 200);
