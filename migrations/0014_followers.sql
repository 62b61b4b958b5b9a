-- Who follows the feed inside the server, and how far each has come.
CREATE TABLE events.followers (
    name     text        COLLATE "C" PRIMARY KEY,
    position bigint      NOT NULL,
    moved_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
