-- Orders that were placed elsewhere, by what they are called there.

CREATE SCHEMA imports;

CREATE TABLE imports.orders (
    channel     text        COLLATE "C" NOT NULL,
    reference   text        NOT NULL CHECK (length(reference) BETWEEN 1 AND 200),
    -- None while it is being placed, in that transaction alone.
    order_id    uuid        UNIQUE,
    -- What was promised beyond what the products allow: [{"sku", "quantity"}].
    oversold    jsonb       NOT NULL DEFAULT '[]',
    imported_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (channel, reference)
);
