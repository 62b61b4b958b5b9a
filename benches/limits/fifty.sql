-- Fifty of what one-statement.sql does, in one statement: what sharing a commit and its round trips brings at best.
WITH asked AS MATERIALIZED (
    SELECT (1 + floor(random() * :products))::bigint AS sku FROM generate_series(1, 50)
), total AS MATERIALIZED (
    SELECT sku, count(*) AS quantity FROM asked GROUP BY sku
), locked AS MATERIALIZED (
    SELECT s.sku, t.quantity FROM stock s JOIN total t USING (sku)
    WHERE s.on_hand - s.reserved >= t.quantity ORDER BY s.sku FOR UPDATE OF s
), held AS (
    UPDATE stock s SET reserved = s.reserved + l.quantity FROM locked l WHERE s.sku = l.sku RETURNING s.sku
), made AS (
    INSERT INTO reservation (id, sku, quantity, expires_at)
    SELECT gen_random_uuid(), sku, 1, now() + interval '15 minutes' FROM asked JOIN held USING (sku) RETURNING id, sku
)
INSERT INTO outbox (kind, body) SELECT 'reserved', jsonb_build_object('id', id, 'sku', sku, 'quantity', 1) FROM made;
