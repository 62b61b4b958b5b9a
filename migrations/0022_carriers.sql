-- Carriers: where shipments are, as carriers and shops report it, and what customers see of it.

CREATE SCHEMA carriers;

-- What is reported twice is kept once; the newest tells where the shipment is. Without a text, `description` is empty.
CREATE TABLE carriers.tracking_events (
    id          uuid        PRIMARY KEY,
    order_id    uuid        NOT NULL,
    shipment_id uuid        NOT NULL,
    status      text        COLLATE "C" NOT NULL CHECK (status IN ('pre_transit', 'in_transit', 'out_for_delivery', 'delivered',
        'available_for_pickup', 'return_to_sender', 'failure', 'cancelled', 'unknown')),
    at          timestamptz NOT NULL,
    description text        COLLATE "C" NOT NULL DEFAULT '' CHECK (length(description) <= 500),
    place       text        CHECK (length(place) BETWEEN 1 AND 200),
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (shipment_id, at, status, description)
);
CREATE INDEX tracking_events_order ON carriers.tracking_events (order_id);

-- One for an order, as it is: a customer who asks again finds the link that he has. Whoever can read this table can read
-- all that the page tells anyway.
CREATE TABLE carriers.links (
    order_id   uuid        PRIMARY KEY,
    token      text        COLLATE "C" NOT NULL UNIQUE CHECK (length(token) = 43),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
