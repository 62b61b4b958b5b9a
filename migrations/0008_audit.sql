-- The audit trail: one row for each change that somebody made, written in the transaction of the change itself.
-- Nobody changes or deletes a row. What is too old goes a month at a time, by dropping the month's partition, which
-- takes the owner of the table; the application works as another role (see src/platform/db/role.rs).

CREATE TABLE platform.audit (
    -- To the millisecond, as answers show it, so that a cursor names a place in the order exactly.
    time        timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    id          uuid           NOT NULL,
    caller_kind text           COLLATE "C" NOT NULL,
    caller_id   uuid,
    caller_name text           NOT NULL,
    operation   text           COLLATE "C" NOT NULL CHECK (length(operation) <= 200),
    path        text           COLLATE "C" CHECK (length(path) <= 500),
    -- The address of what was changed.
    subject     text           COLLATE "C" CHECK (length(subject) <= 500),
    status      smallint,
    request_id  text           COLLATE "C" CHECK (length(request_id) <= 64),
    address     inet,
    -- json and not jsonb: kept as it was answered, whatever characters are escaped in it, and nothing looks inside.
    before      json,
    after       json,
    PRIMARY KEY (time, id)
) PARTITION BY RANGE (time);
CREATE INDEX audit_caller    ON platform.audit (caller_id, time, id);
CREATE INDEX audit_operation ON platform.audit (operation, time, id);
CREATE INDEX audit_subject   ON platform.audit (subject, time, id);
CREATE INDEX audit_request   ON platform.audit (request_id, time, id);

-- What has no month: of before this table's first, from a backup, or of when no server turned the months in time.
CREATE TABLE platform.audit_rest PARTITION OF platform.audit DEFAULT;

CREATE FUNCTION platform.refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail is append-only';
END $$;
-- For each row, because that kind of trigger every partition inherits; TRUNCATE knows the other kind alone.
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON platform.audit
    FOR EACH ROW EXECUTE FUNCTION platform.refuse_audit_change();
CREATE TRIGGER audit_append_only_whole BEFORE TRUNCATE ON platform.audit
    FOR EACH STATEMENT EXECUTE FUNCTION platform.refuse_audit_change();
CREATE TRIGGER audit_append_only_whole BEFORE TRUNCATE ON platform.audit_rest
    FOR EACH STATEMENT EXECUTE FUNCTION platform.refuse_audit_change();

-- Makes the partitions of this month and the next ones where they are missing, and drops those that ended more than
-- `keep_days` ago (0: none). Returns how many it dropped. Months are those of UTC.
CREATE FUNCTION platform.turn_audit_months(ahead integer, keep_days integer) RETURNS integer
    LANGUAGE plpgsql SET timezone = 'UTC' AS $$
DECLARE
    month   timestamptz;
    name    text;
    dropped integer := 0;
BEGIN
    -- Servers that start together take turns.
    PERFORM pg_advisory_xact_lock(hashtextextended('stockhold audit months', 0));
    FOR n IN 0..ahead LOOP
        month := date_trunc('month', clock_timestamp()) + make_interval(months => n);
        name := to_char(month, '"audit_"YYYY_MM');
        -- A month that has rows among the rest already cannot get a partition any more, and needs none.
        CONTINUE WHEN to_regclass('platform.' || name) IS NOT NULL
            OR EXISTS (SELECT FROM platform.audit_rest WHERE time >= month AND time < month + interval '1 month');
        EXECUTE format('CREATE TABLE platform.%I PARTITION OF platform.audit FOR VALUES FROM (%L) TO (%L)',
            name, month, month + interval '1 month');
        EXECUTE format('CREATE TRIGGER audit_append_only_whole BEFORE TRUNCATE ON platform.%I
            FOR EACH STATEMENT EXECUTE FUNCTION platform.refuse_audit_change()', name);
    END LOOP;
    IF keep_days > 0 THEN
        FOR name IN
            SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
            WHERE inhparent = 'platform.audit'::regclass AND relname ~ '^audit_\d{4}_\d{2}$'
              AND to_timestamp(relname, '"audit_"YYYY_MM') + interval '1 month'
                  < clock_timestamp() - make_interval(days => keep_days)
        LOOP
            EXECUTE format('DROP TABLE platform.%I', name);
            dropped := dropped + 1;
        END LOOP;
        IF EXISTS (SELECT FROM platform.audit_rest WHERE time < clock_timestamp() - make_interval(days => keep_days)) THEN
            ALTER TABLE platform.audit_rest DISABLE TRIGGER audit_append_only;
            DELETE FROM platform.audit_rest WHERE time < clock_timestamp() - make_interval(days => keep_days);
            ALTER TABLE platform.audit_rest ENABLE TRIGGER audit_append_only;
        END IF;
    END IF;
    RETURN dropped;
END $$;
REVOKE EXECUTE ON FUNCTION platform.turn_audit_months FROM PUBLIC;
SELECT platform.turn_audit_months(3, 0);
