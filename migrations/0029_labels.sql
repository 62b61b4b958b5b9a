-- Labels: what is stuck on a parcel before it leaves, drawn here or bought from a provider; and the rates it is bought at.

-- What a provider offered for a parcel. Old ones are forgotten.
CREATE TABLE carriers.rates (
    id                 uuid        PRIMARY KEY,
    order_id           uuid        NOT NULL,
    warehouse          text        COLLATE "C" NOT NULL,
    -- What the provider calls the parcel, of which one label is bought at most, and this price of it.
    shipment_reference text        COLLATE "C" NOT NULL CHECK (length(shipment_reference) BETWEEN 1 AND 255),
    rate_reference     text        COLLATE "C" NOT NULL CHECK (length(rate_reference) BETWEEN 1 AND 255),
    carrier            text        NOT NULL CHECK (length(carrier) BETWEEN 1 AND 100),
    service            text        NOT NULL CHECK (length(service) BETWEEN 1 AND 100),
    price_amount       bigint      NOT NULL CHECK (price_amount BETWEEN 0 AND 1000000000000),
    price_currency     text        COLLATE "C" NOT NULL CHECK (length(price_currency) = 3),
    delivery_days      integer     CHECK (delivery_days >= 0),
    parcel             jsonb       NOT NULL,
    created_at         timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX rates_created ON carriers.rates (created_at);

CREATE TABLE carriers.labels (
    id                 uuid        PRIMARY KEY,
    order_id           uuid        NOT NULL,
    -- Of its order, which keeps them.
    order_number       bigint      NOT NULL,
    channel            text        COLLATE "C",
    customer_id        uuid,
    warehouse          text        COLLATE "C" NOT NULL,
    provider           text        COLLATE "C" NOT NULL CHECK (provider IN ('manual', 'easypost')),
    status             text        COLLATE "C" NOT NULL
        CHECK (status IN ('buying', 'bought', 'failed', 'voiding', 'voided')),
    carrier            text        NOT NULL CHECK (length(carrier) BETWEEN 1 AND 100),
    service            text        CHECK (length(service) BETWEEN 1 AND 100),
    tracking_number    text        CHECK (length(tracking_number) BETWEEN 1 AND 100),
    cost_amount        bigint      CHECK (cost_amount BETWEEN 0 AND 1000000000000),
    cost_currency      text        COLLATE "C" CHECK (length(cost_currency) = 3),
    parcel             jsonb,
    shipment_reference text        COLLATE "C" CHECK (length(shipment_reference) BETWEEN 1 AND 255),
    rate_reference     text        COLLATE "C" CHECK (length(rate_reference) BETWEEN 1 AND 255),
    -- As the provider drew it; one of the shop's own is drawn when it is asked for.
    pdf                bytea,
    last_error         text        CHECK (length(last_error) <= 1000),
    created_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- When its provider was last asked of it, while there may be news.
    looked_at          timestamptz,
    CHECK ((cost_amount IS NULL) = (cost_currency IS NULL)),
    CHECK ((provider = 'easypost') = (shipment_reference IS NOT NULL)),
    CHECK ((provider = 'easypost') = (rate_reference IS NOT NULL)),
    CHECK (provider <> 'manual' OR (status IN ('bought', 'voided') AND pdf IS NULL AND looked_at IS NULL))
);
CREATE INDEX        labels_order     ON carriers.labels (order_id, id);
CREATE INDEX        labels_status    ON carriers.labels (status, id);
CREATE INDEX        labels_warehouse ON carriers.labels (warehouse, id);
CREATE INDEX        labels_channel   ON carriers.labels (channel, id) WHERE channel IS NOT NULL;
CREATE INDEX        labels_customer  ON carriers.labels (customer_id) WHERE customer_id IS NOT NULL;
CREATE INDEX        labels_looked    ON carriers.labels (looked_at) WHERE looked_at IS NOT NULL;
CREATE UNIQUE INDEX labels_shipment  ON carriers.labels (shipment_reference) WHERE status <> 'failed';

-- A provider sends a message until it is taken, and sometimes once more.
CREATE TABLE carriers.messages (
    provider    text        COLLATE "C" NOT NULL,
    id          text        COLLATE "C" NOT NULL CHECK (length(id) <= 255),
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (provider, id)
);
CREATE INDEX messages_received ON carriers.messages (received_at);

-- By which the reports of carriers find what they are about.
CREATE INDEX shipments_tracking ON orders.shipments (tracking_number) WHERE tracking_number IS NOT NULL;
