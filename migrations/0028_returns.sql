-- Returns that are asked for before they come.

CREATE SCHEMA returns;

CREATE TABLE returns.requests (
    id             uuid        PRIMARY KEY,
    order_id       uuid        NOT NULL,
    order_number   bigint      NOT NULL,
    channel        text        COLLATE "C",
    status         text        COLLATE "C" NOT NULL CHECK (status IN
        ('requested', 'approved', 'partially_received', 'received', 'closed', 'rejected', 'cancelled')),
    -- [{"sku", "requested", "approved", "received", "reason"}]
    lines          jsonb       NOT NULL CHECK (jsonb_typeof(lines) = 'array'),
    note           text        CHECK (length(note) <= 2000),
    -- Why it was rejected.
    reason         text        CHECK (length(reason) <= 200),
    restocking_fee bigint      NOT NULL DEFAULT 0 CHECK (restocking_fee >= 0),
    -- What was paid for what has come; none where some of it has no price, or nothing has come.
    worth_amount   bigint      CHECK (worth_amount >= 0),
    worth_currency text        COLLATE "C",
    is_unpriced    boolean     NOT NULL DEFAULT false,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((worth_amount IS NULL) = (worth_currency IS NULL))
);
CREATE INDEX requests_order   ON returns.requests (order_id, id);
CREATE INDEX requests_status  ON returns.requests (status, id);
CREATE INDEX requests_channel ON returns.requests (channel, id) WHERE channel IS NOT NULL;
