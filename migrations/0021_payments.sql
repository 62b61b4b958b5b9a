-- Money for orders: payments, what was asked of their providers, and which of a provider's messages came.

CREATE SCHEMA payments;

CREATE TABLE payments.payments (
    id                 uuid        PRIMARY KEY,
    order_id           uuid        NOT NULL,
    -- Of its order, which keeps it.
    channel            text        COLLATE "C",
    provider           text        COLLATE "C" NOT NULL CHECK (provider IN ('manual', 'stripe')),
    method             text        COLLATE "C" NOT NULL CHECK (length(method) BETWEEN 1 AND 32),
    status             text        COLLATE "C" NOT NULL
        CHECK (status IN ('pending', 'authorised', 'captured', 'voided', 'failed', 'expired')),
    capture            text        COLLATE "C" NOT NULL CHECK (capture IN ('manual', 'automatic')),
    currency           text        COLLATE "C" NOT NULL CHECK (length(currency) = 3),
    amount             bigint      NOT NULL CHECK (amount > 0),
    authorised         bigint      NOT NULL DEFAULT 0,
    captured           bigint      NOT NULL DEFAULT 0,
    refunded           bigint      NOT NULL DEFAULT 0,
    -- A token of what the shopper pays with; never a card.
    payment_method     text        COLLATE "C",
    provider_reference text        COLLATE "C",
    client_secret      text        COLLATE "C",
    expires_at         timestamptz,
    last_error         text        CHECK (length(last_error) <= 1000),
    created_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- When its provider was last asked of it.
    looked_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (amount >= authorised AND authorised >= captured AND captured >= refunded AND refunded >= 0),
    CHECK (status NOT IN ('voided', 'failed', 'expired') OR authorised = 0),
    CHECK ((status = 'captured') = (captured > 0)),
    CHECK (status <> 'authorised' OR authorised > 0),
    CHECK (provider <> 'manual' OR (provider_reference IS NULL AND client_secret IS NULL AND status <> 'pending'))
);
CREATE INDEX        payments_order     ON payments.payments (order_id, id);
CREATE INDEX        payments_status    ON payments.payments (status, id);
CREATE INDEX        payments_provider  ON payments.payments (provider, id);
CREATE INDEX        payments_channel   ON payments.payments (channel, id) WHERE channel IS NOT NULL;
CREATE INDEX        payments_expiring  ON payments.payments (expires_at) WHERE status = 'authorised' AND expires_at IS NOT NULL;
CREATE UNIQUE INDEX payments_reference ON payments.payments (provider, provider_reference) WHERE provider_reference IS NOT NULL;
CREATE INDEX        payments_watched   ON payments.payments (looked_at)
    WHERE status IN ('pending', 'authorised') AND provider_reference IS NOT NULL;

CREATE TABLE payments.operations (
    id                 uuid        PRIMARY KEY,
    payment_id         uuid        NOT NULL REFERENCES payments.payments,
    kind               text        COLLATE "C" NOT NULL CHECK (kind IN ('authorise', 'capture', 'void', 'refund')),
    amount             bigint      NOT NULL CHECK (amount >= 0),
    status             text        COLLATE "C" NOT NULL CHECK (status IN ('pending', 'succeeded', 'failed')),
    reason             text        CHECK (length(reason) <= 200),
    provider_reference text        COLLATE "C",
    error              text        CHECK (length(error) <= 1000),
    attempts           integer     NOT NULL DEFAULT 0,
    created_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at           timestamptz,
    CHECK ((status = 'pending') = (ended_at IS NULL))
);
CREATE INDEX operations_payment ON payments.operations (payment_id, id);
-- One at a time: what two of them would take together need not be thought of.
CREATE UNIQUE INDEX operations_pending ON payments.operations (payment_id) WHERE status = 'pending';

-- A provider sends a message until it is taken, and sometimes once more.
CREATE TABLE payments.messages (
    provider    text        COLLATE "C" NOT NULL,
    id          text        COLLATE "C" NOT NULL CHECK (length(id) <= 255),
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (provider, id)
);
CREATE INDEX messages_received ON payments.messages (received_at);

-- What the payments of an order come to, as they said last; its payment status follows from that.
ALTER TABLE orders.orders
    ADD COLUMN authorised     bigint  NOT NULL DEFAULT 0,
    ADD COLUMN captured       bigint  NOT NULL DEFAULT 0,
    ADD COLUMN refunded       bigint  NOT NULL DEFAULT 0,
    ADD COLUMN payment_failed boolean NOT NULL DEFAULT false,
    ADD COLUMN paid_at        timestamptz,
    ADD CHECK (authorised >= captured AND captured >= refunded AND refunded >= 0);
