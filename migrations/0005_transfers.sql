-- Goods between warehouses.

CREATE SCHEMA transfers;

CREATE TABLE transfers.transfers (
    id             uuid        PRIMARY KEY,
    status         text        COLLATE "C" NOT NULL CHECK (status IN ('draft', 'in_transit', 'received', 'cancelled')),
    from_warehouse text        COLLATE "C" NOT NULL,
    to_warehouse   text        COLLATE "C" NOT NULL,
    reference      text        COLLATE "C",
    note           text,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    shipped_at     timestamptz,
    closed_at      timestamptz,
    CHECK (from_warehouse <> to_warehouse)
);
CREATE INDEX transfers_status ON transfers.transfers (status, id);
CREATE INDEX transfers_from   ON transfers.transfers (from_warehouse, id);
CREATE INDEX transfers_to     ON transfers.transfers (to_warehouse, id);

CREATE TABLE transfers.lines (
    transfer_id uuid    NOT NULL REFERENCES transfers.transfers ON DELETE CASCADE,
    line        integer NOT NULL,
    sku         text    COLLATE "C" NOT NULL,
    quantity    bigint  NOT NULL CHECK (quantity > 0),
    shipped     bigint  NOT NULL DEFAULT 0 CHECK (shipped BETWEEN 0 AND quantity),
    received    bigint  NOT NULL DEFAULT 0 CHECK (received >= 0),
    lost        bigint  NOT NULL DEFAULT 0 CHECK (lost >= 0),
    PRIMARY KEY (transfer_id, line),
    UNIQUE (transfer_id, sku),
    CHECK (received + lost <= shipped)
);
