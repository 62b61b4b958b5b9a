-- What is to be paid for an order besides its units: tax, discounts and shipping.

ALTER TABLE orders.orders
    ADD COLUMN prices_include_tax boolean NOT NULL DEFAULT true,
    ADD COLUMN shipping_price     jsonb;

ALTER TABLE orders.lines
    ADD COLUMN discount bigint  NOT NULL DEFAULT 0 CHECK (discount >= 0),
    -- Hundredths of a percent
    ADD COLUMN tax_rate integer NOT NULL DEFAULT 0 CHECK (tax_rate BETWEEN 0 AND 10000),
    ADD CHECK (discount = 0 OR discount <= price_amount::numeric * quantity);

-- What shoppers are about to buy. Its stock is held by a reservation, which is named here.

CREATE SCHEMA carts;

CREATE TABLE carts.carts (
    id                 uuid        PRIMARY KEY,
    status             text        COLLATE "C" NOT NULL
        CHECK (status IN ('open', 'abandoned', 'merged', 'checked_out')),
    channel            text        COLLATE "C",
    reference          text        COLLATE "C",
    -- As the reservation has them, in the same order
    lines              jsonb       NOT NULL,
    discounts          jsonb       NOT NULL,
    shipping_price     jsonb,
    prices_include_tax boolean     NOT NULL,
    ttl_seconds        bigint      NOT NULL CHECK (ttl_seconds > 0),
    reservation_id     uuid        UNIQUE,
    expires_at         timestamptz NOT NULL,
    merged_into        uuid        REFERENCES carts.carts ON DELETE SET NULL,
    order_id           uuid,
    created_at         timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL,
    -- What has become an order, says which.
    CHECK ((status = 'checked_out') = (order_id IS NOT NULL))
);
CREATE INDEX carts_due       ON carts.carts (expires_at) WHERE status = 'open';
CREATE INDEX carts_status    ON carts.carts (status, id);
CREATE INDEX carts_channel   ON carts.carts (channel, id) WHERE channel IS NOT NULL;
CREATE INDEX carts_reference ON carts.carts (reference, id) WHERE reference IS NOT NULL;
CREATE INDEX carts_merged    ON carts.carts (merged_into) WHERE merged_into IS NOT NULL;
CREATE INDEX carts_old       ON carts.carts (updated_at) WHERE status <> 'open';
