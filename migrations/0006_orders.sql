-- What customers bought. What is promised to an open line stands in inventory.

CREATE SCHEMA orders;

CREATE SEQUENCE orders.order_number START 1001;

CREATE TABLE orders.orders (
    id                uuid        PRIMARY KEY,
    number            bigint      NOT NULL UNIQUE DEFAULT nextval('orders.order_number'),
    status            text        COLLATE "C" NOT NULL CHECK (status IN ('draft', 'placed', 'completed', 'cancelled')),
    payment_status    text        COLLATE "C" NOT NULL DEFAULT 'unpaid'
        CHECK (payment_status IN ('unpaid', 'authorised', 'paid', 'partially_refunded', 'refunded', 'failed')),
    fulfilment_status text        COLLATE "C" NOT NULL DEFAULT 'unfulfilled'
        CHECK (fulfilment_status IN ('unfulfilled', 'partially_fulfilled', 'fulfilled', 'returned')),
    channel           text        COLLATE "C",
    reference         text        COLLATE "C",
    customer          jsonb       NOT NULL DEFAULT '{}',
    shipping_address  jsonb,
    note              text,
    reservation_id    uuid        UNIQUE,
    cancel_reason     text,
    placed_at         timestamptz NOT NULL,
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL
);
CREATE INDEX orders_status     ON orders.orders (status, id);
CREATE INDEX orders_fulfilment ON orders.orders (fulfilment_status, id);
CREATE INDEX orders_channel    ON orders.orders (channel, id) WHERE channel IS NOT NULL;
CREATE INDEX orders_reference  ON orders.orders (reference, id) WHERE reference IS NOT NULL;

CREATE TABLE orders.lines (
    id             uuid    PRIMARY KEY,
    order_id       uuid    NOT NULL REFERENCES orders.orders,
    line           integer NOT NULL,
    sku            text    COLLATE "C" NOT NULL,
    quantity       bigint  NOT NULL CHECK (quantity > 0),
    price_amount   bigint  CHECK (price_amount >= 0),
    price_currency text    CHECK (length(price_currency) = 3),
    shipped        bigint  NOT NULL DEFAULT 0 CHECK (shipped >= 0),
    returned       bigint  NOT NULL DEFAULT 0 CHECK (returned >= 0),
    cancelled      bigint  NOT NULL DEFAULT 0 CHECK (cancelled >= 0),
    UNIQUE (order_id, line),
    -- shipped counts all that ever left; what came back of it is in returned as well.
    CHECK (shipped + cancelled <= quantity),
    CHECK (returned <= shipped),
    CHECK ((price_amount IS NULL) = (price_currency IS NULL))
);
CREATE INDEX lines_sku ON orders.lines (sku, order_id);

CREATE TABLE orders.shipments (
    id              uuid        PRIMARY KEY,
    order_id        uuid        NOT NULL REFERENCES orders.orders,
    warehouse       text        COLLATE "C" NOT NULL,
    status          text        COLLATE "C" NOT NULL CHECK (status IN ('pending', 'picked', 'packed', 'shipped', 'delivered')),
    carrier         text,
    tracking_number text,
    created_at      timestamptz NOT NULL,
    shipped_at      timestamptz,
    delivered_at    timestamptz
);
CREATE INDEX shipments_order ON orders.shipments (order_id);

CREATE TABLE orders.shipment_lines (
    shipment_id   uuid   NOT NULL REFERENCES orders.shipments,
    order_line_id uuid   NOT NULL REFERENCES orders.lines,
    quantity      bigint NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (shipment_id, order_line_id)
);
CREATE INDEX shipment_lines_order_line ON orders.shipment_lines (order_line_id);

CREATE TABLE orders.returns (
    id          uuid        PRIMARY KEY,
    order_id    uuid        NOT NULL REFERENCES orders.orders,
    reason      text,
    received_at timestamptz NOT NULL,
    created_at  timestamptz NOT NULL
);
CREATE INDEX returns_order ON orders.returns (order_id);

CREATE TABLE orders.return_lines (
    return_id     uuid    NOT NULL REFERENCES orders.returns,
    line          integer NOT NULL,
    order_line_id uuid    NOT NULL REFERENCES orders.lines,
    quantity      bigint  NOT NULL CHECK (quantity > 0),
    disposition   text    COLLATE "C" NOT NULL CHECK (disposition IN ('restock', 'quarantine', 'scrap')),
    warehouse     text    COLLATE "C" NOT NULL,
    PRIMARY KEY (return_id, line)
);
