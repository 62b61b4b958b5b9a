-- Orders as a busy shop has them: each of three lines, placed, shipped, told to the feed, answered under a key.
-- `big.orders` says how many. The books agree: what was shipped left the warehouse that it was received in.
INSERT INTO warehouses.warehouses (code, name) VALUES ('BIG', 'A large one');
INSERT INTO inventory.products (sku, name) SELECT 'P-' || n, 'Product ' || n FROM generate_series(0, 999) n;

CREATE TEMP TABLE o AS
SELECT n, gen_random_uuid() AS id, gen_random_uuid() AS shipment, now() - n * interval '1 minute' AS at
FROM generate_series(1, current_setting('big.orders')::int) n;
CREATE TEMP TABLE l AS
SELECT o.*, line, gen_random_uuid() AS line_id, 'P-' || (n * 7 + line * 331) % 1000 AS sku, 1 + (n + line) % 5 AS quantity
FROM o CROSS JOIN generate_series(1, 3) line;

INSERT INTO orders.orders (id, status, payment_status, fulfilment_status, reference, customer, shipping_address,
                           placed_at, created_at, updated_at)
SELECT id, 'completed', 'unpaid', 'fulfilled', 'web-' || n, jsonb_build_object('reference', md5(n::text), 'name', 'Customer ' || n),
       jsonb_build_object('line1', n || ' High Street', 'city', 'Leeds', 'country', 'GB'), at, at, at FROM o;
INSERT INTO orders.lines (id, order_id, line, sku, quantity, price_amount, price_currency, shipped)
SELECT line_id, id, line, sku, quantity, 100 + n % 900, 'GBP', quantity FROM l;
INSERT INTO orders.shipments (id, order_id, warehouse, status, carrier, created_at, shipped_at)
SELECT shipment, id, 'BIG', 'shipped', 'Royal Mail', at, at FROM o;
INSERT INTO orders.shipment_lines (shipment_id, order_line_id, quantity) SELECT shipment, line_id, quantity FROM l;

INSERT INTO inventory.movements (id, sku, quantity, from_place, from_warehouse, to_place, to_warehouse, reason,
                                 reference_type, reference_id, actor, effective_at)
SELECT gen_random_uuid(), sku, quantity, 'good', 'BIG', 'customer', NULL, 'shipped', 'order', id::text,
       '00000000-0000-0000-0000-000000000001', at FROM l;
INSERT INTO inventory.movements (id, sku, quantity, from_place, to_place, to_warehouse, reason, actor, effective_at)
SELECT gen_random_uuid(), 'P-' || n, 10000000, 'supplier', 'good', 'BIG', 'received',
       '00000000-0000-0000-0000-000000000001', now() FROM generate_series(0, 999) n;
INSERT INTO inventory.levels (sku, warehouse, on_hand)
SELECT p.sku, 'BIG', 10000000 - coalesce(sum(l.quantity), 0)
FROM (SELECT 'P-' || n AS sku FROM generate_series(0, 999) n) p LEFT JOIN l USING (sku) GROUP BY p.sku;

INSERT INTO events.outbox (event_id, type, subject, time, data)
SELECT gen_random_uuid(), type, 'orders/' || id, at,
       jsonb_build_object('id', id, 'number', n, 'status', 'placed', 'reference', 'web-' || n, 'lines', lines)
FROM o JOIN (SELECT n, jsonb_agg(jsonb_build_object('id', line_id, 'sku', sku, 'quantity', quantity, 'allocated', 0,
             'backordered', 0, 'shipped', quantity, 'price', 100 + n % 900)) AS lines FROM l GROUP BY n) lines USING (n)
CROSS JOIN (VALUES ('order.placed'), ('order.shipped')) kinds (type);
INSERT INTO events.outbox (event_id, type, subject, time, data)
SELECT gen_random_uuid(), 'stock.level_changed', 'products/' || sku, at,
       jsonb_build_object('sku', sku, 'warehouse', 'BIG', 'on_hand', n, 'available', n, 'reserved', 0) FROM l;
INSERT INTO platform.idempotency (caller, key, fingerprint, status, headers, body)
SELECT '00000000-0000-0000-0000-000000000001', kind || n, sha256(n::text::bytea), 201, '[]',
       convert_to(jsonb_build_object('id', id, 'lines', repeat(md5(n::text), 20))::text, 'UTF8')
FROM o CROSS JOIN (VALUES ('order-'), ('shipment-')) kinds (kind);
ANALYZE;
