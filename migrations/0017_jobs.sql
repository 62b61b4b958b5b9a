-- Work that is done later, once, whatever happens to the server that began it.

-- The next attempt is due at `run_at`; while one is under way, that is when it counts as lost with the server that makes
-- it. `fence` is a number of each attempt: whoever has an older one may not say how the job went.
CREATE TABLE platform.jobs (
    id           uuid        PRIMARY KEY,
    kind         text        COLLATE "C" NOT NULL CHECK (length(kind) BETWEEN 1 AND 100),
    key          text        COLLATE "C" CHECK (length(key) <= 200),
    payload      jsonb       NOT NULL,
    status       text        COLLATE "C" NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'done', 'dead', 'cancelled')),
    run_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    attempts     integer     NOT NULL DEFAULT 0,
    max_attempts integer     NOT NULL CHECK (max_attempts > 0),
    fence        bigint      NOT NULL DEFAULT 0,
    -- Since when a server is at it.
    claimed_at   timestamptz,
    last_error   text,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at     timestamptz,
    CHECK ((status = 'pending') = (ended_at IS NULL))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
-- What is due, of each kind; and of a key there is one that waits.
CREATE INDEX        jobs_due    ON platform.jobs (kind, run_at) WHERE status = 'pending';
CREATE UNIQUE INDEX jobs_key    ON platform.jobs (kind, key)    WHERE status = 'pending' AND key IS NOT NULL;
CREATE INDEX        jobs_status ON platform.jobs (status, id);
CREATE INDEX        jobs_kind   ON platform.jobs (kind, id);
CREATE INDEX        jobs_ended  ON platform.jobs (ended_at)     WHERE ended_at IS NOT NULL;
