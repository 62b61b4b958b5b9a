-- What every module leans on: idempotency records, API keys and the outbox.
-- Text that identifies something is compared byte for byte (COLLATE "C"), whatever the database's own collation.

CREATE SCHEMA platform;

-- The first answer to a request that carried an Idempotency-Key, committed with its effect.
CREATE TABLE platform.idempotency (
    caller      uuid        NOT NULL,
    key         text        COLLATE "C" NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    fingerprint bytea       NOT NULL,
    status      smallint    NOT NULL CHECK (status BETWEEN 200 AND 499),
    headers     jsonb       NOT NULL,
    body        bytea       NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (caller, key)
);
CREATE INDEX idempotency_created_at ON platform.idempotency (created_at);

CREATE SCHEMA access;

CREATE TABLE access.keys (
    id         uuid        PRIMARY KEY,
    name       text        NOT NULL,
    hash       bytea       NOT NULL UNIQUE CHECK (length(hash) = 32),
    scopes     text[]      NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    revoked_at timestamptz
);

CREATE SCHEMA events;

-- xid stands before id on purpose: defaults are evaluated in column order, so a transaction has its
-- xid before it draws an id, which the feed's horizon relies on (see src/events/mod.rs).
CREATE TABLE events.outbox (
    xid      xid8        NOT NULL DEFAULT pg_current_xact_id(),
    id       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id uuid        NOT NULL,
    type     text        COLLATE "C" NOT NULL,
    subject  text        COLLATE "C" NOT NULL,
    time     timestamptz NOT NULL DEFAULT clock_timestamp(),
    data     jsonb       NOT NULL
);
CREATE INDEX outbox_type ON events.outbox (type, id);
CREATE INDEX outbox_time ON events.outbox USING brin (time);
