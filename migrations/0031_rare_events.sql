-- Most events are of stock and of reservations. Who follows others inside the server finds them without reading those.
CREATE INDEX outbox_rare ON events.outbox (id) WHERE type NOT LIKE 'stock.%' AND type NOT LIKE 'reservation.%';
