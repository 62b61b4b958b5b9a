-- Webhooks: who is told of which events, and how each telling went.

CREATE SCHEMA webhooks;

CREATE TABLE webhooks.endpoints (
    id              uuid        PRIMARY KEY,
    url             text        NOT NULL CHECK (length(url) <= 2000),
    description     text        NOT NULL DEFAULT '',
    filter          jsonb       NOT NULL,
    -- Of both there has to be the text itself: messages are signed with it.
    secret          text        NOT NULL,
    previous_secret text,
    previous_until  timestamptz,
    disabled_at     timestamptz,
    disabled_why    text        COLLATE "C",
    -- Since when no message has arrived, if the last one did not.
    failing_since   timestamptz,
    -- Events up to here were before it.
    begins_after    bigint      NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- A message to an endpoint. The next attempt is due at `due_at`; while one is under way, that is when it counts as lost
-- with the server that makes it.
CREATE TABLE webhooks.deliveries (
    id          uuid        PRIMARY KEY,
    endpoint_id uuid        NOT NULL REFERENCES webhooks.endpoints ON DELETE CASCADE,
    seq         bigint      GENERATED ALWAYS AS IDENTITY,
    cause       text        COLLATE "C" NOT NULL CHECK (cause IN ('event', 'test', 'redelivery', 'replay')),
    message_id  uuid        NOT NULL,
    type        text        COLLATE "C" NOT NULL,
    subject     text        COLLATE "C" NOT NULL,
    body        text        NOT NULL,
    status      text        COLLATE "C" NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed')),
    attempts    integer     NOT NULL DEFAULT 0,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    due_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at    timestamptz
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
-- What is due, and what has to wait for an earlier message of its subject.
CREATE INDEX deliveries_due     ON webhooks.deliveries (endpoint_id, due_at) WHERE status = 'pending';
CREATE INDEX deliveries_subject ON webhooks.deliveries (endpoint_id, subject, seq) WHERE status = 'pending';
CREATE INDEX deliveries_listed  ON webhooks.deliveries (endpoint_id, id);
CREATE INDEX deliveries_status  ON webhooks.deliveries (endpoint_id, status, id);
CREATE INDEX deliveries_ended   ON webhooks.deliveries (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE webhooks.attempts (
    delivery_id  uuid        NOT NULL REFERENCES webhooks.deliveries ON DELETE CASCADE,
    n            integer     NOT NULL,
    time         timestamptz NOT NULL DEFAULT clock_timestamp(),
    milliseconds integer     NOT NULL,
    -- Of the answer, if there was one, its status and its beginning; else what went wrong.
    status       smallint,
    answer       text,
    error        text,
    PRIMARY KEY (delivery_id, n)
);
