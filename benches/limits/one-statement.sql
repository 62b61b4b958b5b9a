\set sku random(1, :products)
WITH held AS (
    UPDATE stock SET reserved = reserved + 1 WHERE sku = :sku AND on_hand - reserved >= 1 RETURNING sku
), made AS (
    INSERT INTO reservation (id, sku, quantity, expires_at)
    SELECT gen_random_uuid(), sku, 1, now() + interval '15 minutes' FROM held RETURNING id, sku
)
INSERT INTO outbox (kind, body) SELECT 'reserved', jsonb_build_object('id', id, 'sku', sku, 'quantity', 1) FROM made;
