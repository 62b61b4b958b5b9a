-- Places that hold stock, places that sell, and the rules that pick between them.

CREATE SCHEMA warehouses;

CREATE TABLE warehouses.warehouses (
    code       text        COLLATE "C" PRIMARY KEY CHECK (length(code) BETWEEN 1 AND 32),
    name       text        NOT NULL,
    priority   integer     NOT NULL DEFAULT 100 CHECK (priority BETWEEN 0 AND 1000),
    address    jsonb       NOT NULL DEFAULT '{}',
    time_zone  text        NOT NULL DEFAULT 'UTC',
    active     boolean     NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE warehouses.channels (
    code       text        COLLATE "C" PRIMARY KEY CHECK (length(code) BETWEEN 1 AND 32),
    name       text        NOT NULL,
    sourcing   text[],
    active     boolean     NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE warehouses.channel_warehouses (
    channel   text    COLLATE "C" NOT NULL REFERENCES warehouses.channels ON DELETE CASCADE,
    warehouse text    COLLATE "C" NOT NULL REFERENCES warehouses.warehouses,
    position  integer NOT NULL,
    buffer    bigint  NOT NULL DEFAULT 0 CHECK (buffer >= 0),
    PRIMARY KEY (channel, warehouse),
    UNIQUE (channel, position)
);
CREATE INDEX channel_warehouses_warehouse ON warehouses.channel_warehouses (warehouse);

-- What is true of all of them together, always exactly one row: the rule chain for calls whose
-- channel has none of its own, and a version that every change here raises, so that a server may
-- keep the directory in memory and still never use a stale one.
CREATE TABLE warehouses.directory (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    rules    text[]  NOT NULL,
    version  bigint  NOT NULL DEFAULT 1
);
INSERT INTO warehouses.directory (rules)
VALUES (ARRAY['fewest_shipments', 'channel_order', 'warehouse_priority', 'nearest', 'most_stock']);
