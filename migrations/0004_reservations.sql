-- Holds with a time-to-live. What they hold stands in inventory; this is their life.

CREATE SCHEMA reservations;

CREATE TABLE reservations.reservations (
    id         uuid        PRIMARY KEY,
    status     text        COLLATE "C" NOT NULL CHECK (status IN ('active', 'committed', 'released', 'expired')),
    owner      text        COLLATE "C",
    channel    text        COLLATE "C",
    reference  text        COLLATE "C",
    lines      jsonb       NOT NULL,
    skus       text[]      NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at   timestamptz,
    order_id   uuid,
    CHECK ((status = 'active') = (ended_at IS NULL)),
    CHECK ((status = 'committed') = (order_id IS NOT NULL))
) WITH (fillfactor = 85);
CREATE INDEX reservations_due    ON reservations.reservations (expires_at) WHERE status = 'active';
CREATE INDEX reservations_owner  ON reservations.reservations (owner, id) WHERE owner IS NOT NULL;
CREATE INDEX reservations_live   ON reservations.reservations (owner, expires_at) WHERE status = 'active' AND owner IS NOT NULL;
CREATE INDEX reservations_status ON reservations.reservations (status, id);
CREATE INDEX reservations_skus   ON reservations.reservations USING gin (skus);
