-- Notices: who wants to know when a product is there again, and what the operator is to be told.

CREATE SCHEMA notices;

-- `seq` is the order in which they are served. Ended ones are deleted after some days, for they are personal.
CREATE TABLE notices.subscriptions (
    id         uuid        PRIMARY KEY,
    seq        bigint      GENERATED ALWAYS AS IDENTITY,
    sku        text        COLLATE "C" NOT NULL,
    email      text        NOT NULL CHECK (length(email) <= 254),
    channel    text        COLLATE "C",
    quantity   bigint      NOT NULL CHECK (quantity > 0),
    status     text        COLLATE "C" NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'notified')),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at   timestamptz,
    CHECK ((status = 'waiting') = (ended_at IS NULL))
);
-- An address waits once for a product.
CREATE UNIQUE INDEX subscriptions_once    ON notices.subscriptions (sku, lower(email)) WHERE status = 'waiting';
CREATE INDEX        subscriptions_waiting ON notices.subscriptions (sku, seq) WHERE status = 'waiting';
CREATE INDEX        subscriptions_listed  ON notices.subscriptions (sku, seq);
CREATE INDEX        subscriptions_ended   ON notices.subscriptions (ended_at) WHERE ended_at IS NOT NULL;

-- How much of a product those were told of who may still come for it.
CREATE TABLE notices.promises (
    sku      text        COLLATE "C" PRIMARY KEY,
    quantity bigint      NOT NULL CHECK (quantity >= 0),
    told_at  timestamptz NOT NULL
);
CREATE INDEX promises_told ON notices.promises (told_at);

-- Lines of the mails to the operator; those without `told_at` go with the next.
CREATE TABLE notices.alerts (
    id       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id uuid        NOT NULL,
    line     text        NOT NULL,
    told_at  timestamptz
);
CREATE INDEX alerts_waiting ON notices.alerts (id) WHERE told_at IS NULL;
CREATE INDEX alerts_told    ON notices.alerts (told_at) WHERE told_at IS NOT NULL;
