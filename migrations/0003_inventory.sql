-- Products, levels, the ledger, and what is promised of them.

CREATE SCHEMA inventory;

-- A product's row is also its mutex: whoever changes a level, hold, allocation or backorder of a
-- product locks this row first, products in the order of their sku. Nothing else need be ordered.
CREATE TABLE inventory.products (
    sku                 text        COLLATE "C" PRIMARY KEY CHECK (length(sku) BETWEEN 1 AND 64),
    name                text        NOT NULL,
    description         text        NOT NULL DEFAULT '',
    category            text        COLLATE "C",
    attributes          jsonb       NOT NULL DEFAULT '{}',
    unit                text        NOT NULL DEFAULT 'each',
    packs               jsonb       NOT NULL DEFAULT '[]',
    price_amount        bigint      CHECK (price_amount >= 0),
    price_currency      text        CHECK (length(price_currency) = 3),
    tracking            text        NOT NULL DEFAULT 'none' CHECK (tracking IN ('none', 'lot', 'serial')),
    parent              text        COLLATE "C",
    options             jsonb       NOT NULL DEFAULT '{}',
    substitutes         text[]      NOT NULL DEFAULT '{}',
    backorder_limit     bigint      NOT NULL DEFAULT 0 CHECK (backorder_limit >= 0),
    preorder_release    date,
    preorder_limit      bigint      CHECK (preorder_limit >= 0),
    discontinued        boolean     NOT NULL DEFAULT false,
    -- Units promised beyond stock: by live holds, and by orders that wait in inventory.backorders.
    backordered_held    bigint      NOT NULL DEFAULT 0 CHECK (backordered_held >= 0),
    backordered_ordered bigint      NOT NULL DEFAULT 0 CHECK (backordered_ordered >= 0),
    search              tsvector    GENERATED ALWAYS AS (
        to_tsvector('simple'::regconfig, sku || ' ' || name || ' ' || coalesce(category, '') || ' ' || description)
    ) STORED,
    created_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((price_amount IS NULL) = (price_currency IS NULL)),
    CHECK ((preorder_release IS NULL) = (preorder_limit IS NULL))
) WITH (fillfactor = 85);
CREATE INDEX products_search   ON inventory.products USING gin (search);
CREATE INDEX products_category ON inventory.products (category, sku);
CREATE INDEX products_parent   ON inventory.products (parent, sku) WHERE parent IS NOT NULL;
CREATE INDEX products_waiting  ON inventory.products (sku) WHERE backordered_ordered > 0;
CREATE INDEX products_tracking ON inventory.products (tracking, sku) WHERE tracking <> 'none';

CREATE TABLE inventory.barcodes (
    code     text    COLLATE "C" PRIMARY KEY,
    sku      text    COLLATE "C" NOT NULL REFERENCES inventory.products ON DELETE CASCADE,
    position integer NOT NULL
);
CREATE INDEX barcodes_sku ON inventory.barcodes (sku);

CREATE TABLE inventory.levels (
    sku             text   COLLATE "C" NOT NULL REFERENCES inventory.products,
    warehouse       text   COLLATE "C" NOT NULL,
    on_hand         bigint NOT NULL DEFAULT 0,
    damaged         bigint NOT NULL DEFAULT 0 CHECK (damaged >= 0),
    quality_control bigint NOT NULL DEFAULT 0 CHECK (quality_control >= 0),
    quarantined     bigint NOT NULL DEFAULT 0 CHECK (quarantined >= 0),
    reserved        bigint NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    allocated       bigint NOT NULL DEFAULT 0 CHECK (allocated >= 0),
    incoming        bigint NOT NULL DEFAULT 0 CHECK (incoming >= 0),
    safety_stock    bigint NOT NULL DEFAULT 0 CHECK (safety_stock >= 0),
    reorder_point   bigint NOT NULL DEFAULT 0 CHECK (reorder_point >= 0),
    PRIMARY KEY (sku, warehouse),
    -- The last guard against overselling: what is promised is physically there and sellable.
    CONSTRAINT levels_not_oversold CHECK (reserved + allocated <= on_hand - damaged - quality_control - quarantined),
    CONSTRAINT levels_on_hand_bounded CHECK (on_hand BETWEEN 0 AND 1000000000000000)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX levels_warehouse ON inventory.levels (warehouse);

-- The ledger: one row moves a quantity from one place to another. A physical place is a condition
-- within a warehouse; a virtual one has no warehouse.
CREATE TABLE inventory.movements (
    id             uuid        PRIMARY KEY,
    sku            text        COLLATE "C" NOT NULL,
    quantity       bigint      NOT NULL CHECK (quantity > 0),
    from_place     text        COLLATE "C" NOT NULL,
    from_warehouse text        COLLATE "C",
    to_place       text        COLLATE "C" NOT NULL,
    to_warehouse   text        COLLATE "C",
    reason         text        COLLATE "C" NOT NULL,
    note           text,
    lot            text        COLLATE "C",
    reference_type text        COLLATE "C",
    reference_id   text        COLLATE "C",
    actor          uuid        NOT NULL,
    effective_at   timestamptz NOT NULL,
    booked_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (from_place IN ('good', 'damaged', 'quality_control', 'quarantined', 'supplier', 'customer', 'adjustment', 'scrap', 'in_transit', 'production')),
    CHECK (to_place   IN ('good', 'damaged', 'quality_control', 'quarantined', 'supplier', 'customer', 'adjustment', 'scrap', 'in_transit', 'production')),
    CHECK ((from_warehouse IS NOT NULL) = (from_place IN ('good', 'damaged', 'quality_control', 'quarantined'))),
    CHECK ((to_warehouse   IS NOT NULL) = (to_place   IN ('good', 'damaged', 'quality_control', 'quarantined'))),
    CHECK (from_place <> to_place OR from_warehouse IS DISTINCT FROM to_warehouse)
);
CREATE INDEX movements_sku            ON inventory.movements (sku, id);
CREATE INDEX movements_from_warehouse ON inventory.movements (from_warehouse, id) WHERE from_warehouse IS NOT NULL;
CREATE INDEX movements_to_warehouse   ON inventory.movements (to_warehouse, id) WHERE to_warehouse IS NOT NULL;
CREATE INDEX movements_reason         ON inventory.movements (reason, id);
CREATE INDEX movements_booked_at      ON inventory.movements (booked_at);

CREATE FUNCTION inventory.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'inventory.movements is append-only: book a correcting movement instead';
END $$;
CREATE TRIGGER movements_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON inventory.movements
    FOR EACH STATEMENT EXECUTE FUNCTION inventory.refuse_change();

-- Live holds alone: a row goes when its reservation is committed, released or found expired, so the
-- table stays as small as the shop is busy. warehouse = '' is the part promised beyond stock.
CREATE TABLE inventory.holds (
    reservation_id uuid        NOT NULL,
    line           integer     NOT NULL,
    warehouse      text        COLLATE "C" NOT NULL,
    sku            text        COLLATE "C" NOT NULL REFERENCES inventory.products,
    quantity       bigint      NOT NULL CHECK (quantity > 0),
    expires_at     timestamptz NOT NULL,
    PRIMARY KEY (reservation_id, line, warehouse)
) WITH (autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX holds_sku_expires_at ON inventory.holds (sku, expires_at);

-- Open allocations alone: shipping and cancelling take from them, a row at zero goes.
CREATE TABLE inventory.allocations (
    order_line_id uuid   NOT NULL,
    warehouse     text   COLLATE "C" NOT NULL,
    order_id      uuid   NOT NULL,
    sku           text   COLLATE "C" NOT NULL REFERENCES inventory.products,
    quantity      bigint NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (order_line_id, warehouse)
) WITH (autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX allocations_sku   ON inventory.allocations (sku, warehouse);
CREATE INDEX allocations_order ON inventory.allocations (order_id);

-- Order lines that wait for stock; served oldest first.
CREATE TABLE inventory.backorders (
    order_line_id uuid        PRIMARY KEY,
    order_id      uuid        NOT NULL,
    sku           text        COLLATE "C" NOT NULL REFERENCES inventory.products,
    quantity      bigint      NOT NULL CHECK (quantity > 0),
    channel       text        COLLATE "C",
    warehouse     text        COLLATE "C",
    placed_at     timestamptz NOT NULL,
    seq           bigint      GENERATED ALWAYS AS IDENTITY
);
CREATE INDEX backorders_queue ON inventory.backorders (sku, placed_at, seq);
CREATE INDEX backorders_order     ON inventory.backorders (order_id);
CREATE INDEX backorders_warehouse ON inventory.backorders (warehouse) WHERE warehouse IS NOT NULL;
