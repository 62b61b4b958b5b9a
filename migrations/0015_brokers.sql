-- Links to message brokers: how far each was fed, and by which server.

CREATE SCHEMA brokers;

CREATE TABLE brokers.links (
    name       text        COLLATE "C" PRIMARY KEY,
    -- All events up to here were taken by the broker, or are not wanted there.
    position   bigint      NOT NULL CHECK (position >= 0),
    -- One server at a time feeds a broker. Its hold ends by itself, should it not be renewed.
    holder     uuid,
    held_until timestamptz NOT NULL DEFAULT '-infinity',
    connected  boolean     NOT NULL DEFAULT false,
    last_error text,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
