-- Keys that can be limited, expire, and be rotated with an overlap.

ALTER TABLE access.keys
    -- The part of the key that may be shown; null for one that an administrator brought along.
    ADD COLUMN public_id      text COLLATE "C" UNIQUE,
    ADD COLUMN warehouses     text[] CHECK (cardinality(warehouses) > 0),
    ADD COLUMN channels       text[] CHECK (cardinality(channels) > 0),
    ADD COLUMN expires_at     timestamptz,
    ADD COLUMN last_used_at   timestamptz,
    ADD COLUMN created_by     text NOT NULL DEFAULT 'bootstrap',
    -- The digest before the last rotation, and until when it still opens.
    ADD COLUMN previous_hash  bytea UNIQUE CHECK (length(previous_hash) = 32),
    ADD COLUMN previous_until timestamptz,
    ADD CHECK ((previous_hash IS NULL) = (previous_until IS NULL));
