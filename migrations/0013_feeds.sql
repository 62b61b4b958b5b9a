-- What other systems report of stock: warehouse systems, tills, scales.

CREATE SCHEMA feeds;

CREATE TABLE feeds.sources (
    code       text        COLLATE "C" PRIMARY KEY,
    name       text        NOT NULL,
    -- Where reports are about that name no warehouse.
    warehouse  text        COLLATE "C",
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Reports with a sequence number that were taken, so that a repetition is known for one. They go when a repetition
-- would be refused for its age. No foreign key to the source: one that is deleted and made again must not take twice
-- what it took before.
CREATE TABLE feeds.reports (
    source      text        COLLATE "C" NOT NULL,
    device      text        COLLATE "C" NOT NULL,
    sequence    bigint      NOT NULL,
    digest      bytea       NOT NULL,
    sku         text        COLLATE "C" NOT NULL,
    warehouse   text        COLLATE "C" NOT NULL,
    outcome     text        COLLATE "C" NOT NULL,
    expected    bigint,
    found       bigint,
    difference  bigint,
    booked      bigint      NOT NULL,
    movement_id uuid,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (source, device, sequence)
);
CREATE INDEX reports_received_at ON feeds.reports (received_at);

-- The last count that was taken of a product in a warehouse, of each source. What was reported before it is in it.
CREATE TABLE feeds.counts (
    sku         text        COLLATE "C" NOT NULL,
    warehouse   text        COLLATE "C" NOT NULL,
    source      text        COLLATE "C" NOT NULL,
    device      text        COLLATE "C" NOT NULL,
    sequence    bigint,
    counted_at  timestamptz NOT NULL,
    -- What could not be booked of it.
    open        bigint      NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (sku, warehouse, source)
);
CREATE INDEX counts_received_at ON feeds.counts (received_at);

-- Where a report and the books disagreed.
CREATE TABLE feeds.discrepancies (
    id          uuid        PRIMARY KEY,
    source      text        COLLATE "C" NOT NULL,
    device      text        COLLATE "C" NOT NULL,
    sequence    bigint,
    sku         text        COLLATE "C" NOT NULL,
    warehouse   text        COLLATE "C" NOT NULL,
    outcome     text        COLLATE "C" NOT NULL,
    reported_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    expected    bigint,
    found       bigint,
    difference  bigint      NOT NULL CHECK (difference <> 0),
    booked      bigint      NOT NULL,
    -- What could not be booked, until a later report settles it.
    open        bigint      NOT NULL CHECK (open IN (0, difference - booked)),
    movement_id uuid,
    reason      text        COLLATE "C" NOT NULL,
    note        text,
    -- What is booked is a part of the difference.
    CHECK (abs(booked) <= abs(difference) AND sign(booked) IN (0, sign(difference))),
    CHECK ((booked <> 0) = (movement_id IS NOT NULL))
);
CREATE INDEX discrepancies_source    ON feeds.discrepancies (source, id);
CREATE INDEX discrepancies_sku       ON feeds.discrepancies (source, sku, id);
CREATE INDEX discrepancies_warehouse ON feeds.discrepancies (source, warehouse, id);
CREATE INDEX discrepancies_open      ON feeds.discrepancies (source, (open <> 0), id);
CREATE INDEX discrepancies_open_at   ON feeds.discrepancies (sku, warehouse) WHERE open <> 0;
-- A change that was refused for want of stock stands here once, however often it is sent again.
CREATE UNIQUE INDEX discrepancies_refused ON feeds.discrepancies (source, device, sequence) WHERE outcome = 'refused';

-- How a level was at a time: what moved since is taken off.
CREATE INDEX movements_sku_effective_at ON inventory.movements (sku, effective_at);
