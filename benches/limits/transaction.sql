\set sku random(1, :products)
BEGIN;
UPDATE stock SET reserved = reserved + 1 WHERE sku = :sku AND on_hand - reserved >= 1;
INSERT INTO reservation (id, sku, quantity, expires_at) VALUES (gen_random_uuid(), :sku, 1, now() + interval '15 minutes');
INSERT INTO outbox (kind, body) VALUES ('reserved', jsonb_build_object('sku', :sku::bigint, 'quantity', 1));
COMMIT;
