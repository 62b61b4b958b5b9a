-- The outbox by days, so that what is too old goes by dropping a table. Readers filter what they read, so the index by
-- type goes, and with it a write for every event.

ALTER TABLE events.outbox RENAME TO outbox_before;
ALTER TABLE events.outbox_before RENAME CONSTRAINT outbox_pkey TO outbox_before_pkey;
ALTER SEQUENCE events.outbox_id_seq RENAME TO outbox_before_id_seq;

-- xid stands before id on purpose: defaults are evaluated in column order, so a transaction has its
-- xid before it draws an id, which the feed's horizon relies on (see src/events/horizon.rs).
CREATE TABLE events.outbox (
    xid      xid8        NOT NULL DEFAULT pg_current_xact_id(),
    id       bigint      GENERATED ALWAYS AS IDENTITY,
    event_id uuid        NOT NULL,
    type     text        COLLATE "C" NOT NULL,
    subject  text        COLLATE "C" NOT NULL,
    time     timestamptz NOT NULL DEFAULT clock_timestamp(),
    data     jsonb       NOT NULL,
    PRIMARY KEY (id, time)
) PARTITION BY RANGE (time);

-- What has no day: of before this table's first, from a backup, or of when no server turned the days in time.
CREATE TABLE events.outbox_rest PARTITION OF events.outbox DEFAULT;

-- Makes the partitions of today and the next days where they are missing, and drops the oldest of those that ended more
-- than `keep_days` ago (0: none). Returns whether it dropped one, for there may be more. Days are those of UTC.
--
-- It waits for no writer longer than a moment, and so keeps none waiting longer: where it does not get its locks, it
-- fails, and is to be called again.
CREATE FUNCTION events.turn_outbox_days(ahead integer, keep_days integer) RETURNS boolean
    LANGUAGE plpgsql SET timezone = 'UTC' SET lock_timeout = '50ms' AS $$
DECLARE
    day     timestamptz;
    name    text;
    last_id bigint;
BEGIN
    -- Servers take turns; who finds another at it has nothing to do.
    IF NOT pg_try_advisory_xact_lock(hashtextextended('stockhold outbox days', 0)) THEN
        RETURN false;
    END IF;
    FOR n IN 0..ahead LOOP
        day := date_trunc('day', clock_timestamp()) + make_interval(days => n);
        name := to_char(day, '"outbox_"YYYY_MM_DD');
        -- A day that has rows among the rest already cannot get a partition any more, and needs none.
        CONTINUE WHEN to_regclass('events.' || name) IS NOT NULL
            OR EXISTS (SELECT FROM events.outbox_rest WHERE time >= day AND time < day + interval '1 day');
        -- Made apart and attached: a table that is made as a partition locks out all writers.
        EXECUTE format('CREATE TABLE events.%I (LIKE events.outbox INCLUDING DEFAULTS)', name);
        EXECUTE format('ALTER TABLE events.outbox ATTACH PARTITION events.%I FOR VALUES FROM (%L) TO (%L)',
            name, day, day + interval '1 day');
    END LOOP;
    IF keep_days = 0 THEN
        RETURN false;
    END IF;
    DELETE FROM events.outbox_rest WHERE id IN (
        SELECT id FROM events.outbox_rest WHERE time < clock_timestamp() - make_interval(days => keep_days)
        ORDER BY id LIMIT 50000);
    IF FOUND THEN
        UPDATE events.history SET forgotten_to = greatest(forgotten_to, (
            SELECT coalesce(min(id) - 1, 0) FROM events.outbox_rest)) WHERE ended_at IS NULL;
        RETURN true;
    END IF;
    SELECT relname INTO name FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = 'events.outbox'::regclass AND relname ~ '^outbox_\d{4}_\d{2}_\d{2}$'
      AND to_timestamp(relname, '"outbox_"YYYY_MM_DD') + interval '1 day'
          < clock_timestamp() - make_interval(days => keep_days)
    ORDER BY relname LIMIT 1;
    IF name IS NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('SELECT max(id) FROM events.%I', name) INTO last_id;
    UPDATE events.history SET forgotten_to = greatest(forgotten_to, coalesce(last_id, 0)) WHERE ended_at IS NULL;
    EXECUTE format('DROP TABLE events.%I', name);
    RETURN true;
END $$;
REVOKE EXECUTE ON FUNCTION events.turn_outbox_days FROM PUBLIC;

-- The feed from its beginning to a restore, and from there on: a cursor names the one it belongs to. What followed
-- `ended_at` was lost in the restore; what came up to `forgotten_to` was too old to be kept.
CREATE TABLE events.history (
    id           bigint      PRIMARY KEY,
    begun_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at     bigint,
    forgotten_to bigint      NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX history_present ON events.history ((true)) WHERE ended_at IS NULL;
-- Of 48 bits, so that it is short in a cursor and no two instances share one.
INSERT INTO events.history (id) VALUES (('x' || substr(md5(gen_random_uuid()::text), 1, 12))::bit(48)::bigint);

SELECT events.turn_outbox_days(7, 0);
INSERT INTO events.outbox (xid, id, event_id, type, subject, time, data) OVERRIDING SYSTEM VALUE
    SELECT xid, id, event_id, type, subject, time, data FROM events.outbox_before;
SELECT setval('events.outbox_id_seq', pg_sequence_last_value('events.outbox_before_id_seq'))
    WHERE pg_sequence_last_value('events.outbox_before_id_seq') IS NOT NULL;
DROP TABLE events.outbox_before;
