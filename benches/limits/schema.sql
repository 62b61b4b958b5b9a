-- What a hand-written shop would have at least: the measure for what the server does beyond it.
DROP TABLE IF EXISTS stock, reservation, outbox;
CREATE TABLE stock (
    sku      bigint PRIMARY KEY,
    on_hand  bigint NOT NULL,
    reserved bigint NOT NULL DEFAULT 0,
    CHECK (reserved <= on_hand)
) WITH (fillfactor = 70);
CREATE TABLE reservation (
    id         uuid        PRIMARY KEY,
    sku        bigint      NOT NULL,
    quantity   integer     NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX ON reservation (expires_at);
CREATE TABLE outbox (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind       text        NOT NULL,
    body       jsonb       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO stock SELECT n, 1000000000 FROM generate_series(1, 10000) AS n;
VACUUM ANALYZE;
