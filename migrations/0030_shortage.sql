-- What was promised to customers, and when: orders that will miss it are found by it.

-- The day for which a line was promised.
ALTER TABLE orders.lines ADD COLUMN promised_for date;
-- Whether nothing is sent while some of it waits for stock.
ALTER TABLE orders.orders ADD COLUMN ship_together boolean NOT NULL DEFAULT false;

-- The order in the place of what came back: {"order_id", "order_number", "credit"}.
ALTER TABLE returns.requests ADD COLUMN exchange jsonb CHECK (jsonb_typeof(exchange) = 'object');

-- The orders of which something is still to be sent: few, beside all that ever were.
CREATE INDEX orders_open ON orders.orders (id)
    WHERE status = 'placed' AND fulfilment_status IN ('unfulfilled', 'partially_fulfilled');

-- Processes that somebody may have to look at.
CREATE INDEX runs_troubled ON workflows.runs (order_id) WHERE status = 'stuck' OR (status = 'running' AND due_at IS NOT NULL);
