\set sku random(1, :products)
SELECT sku, on_hand, reserved, on_hand - reserved AS available FROM stock WHERE sku = :sku;
