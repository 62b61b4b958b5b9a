-- Who buys again and again: customers, and what they consented to. Orders name them by id.

CREATE SCHEMA customers;

-- One that is erased keeps its row, so that its orders stay those of one customer: all that is personal is empty.
CREATE TABLE customers.customers (
    id             uuid        PRIMARY KEY,
    reference      text        COLLATE "C" CHECK (length(reference) BETWEEN 1 AND 200),
    name           text        CHECK (length(name) <= 200),
    email          text        CHECK (length(email) <= 254),
    phone          text        CHECK (length(phone) <= 50),
    language       text        COLLATE "C" CHECK (length(language) <= 35),
    addresses      jsonb       NOT NULL DEFAULT '[]',
    marketing      boolean     NOT NULL,
    order_updates  boolean     NOT NULL,
    consent_source text        COLLATE "C" CHECK (length(consent_source) <= 64),
    note           text        CHECK (length(note) <= 2000),
    attributes     jsonb       NOT NULL DEFAULT '{}',
    erased_at      timestamptz,
    -- When its retention was looked at last
    looked_at      timestamptz,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    CHECK (erased_at IS NULL OR (num_nonnulls(reference, name, email, phone, language, note) = 0
           AND addresses = '[]' AND attributes = '{}' AND NOT marketing AND NOT order_updates))
);
CREATE UNIQUE INDEX customers_reference ON customers.customers (reference) WHERE reference IS NOT NULL;
CREATE INDEX customers_email        ON customers.customers (lower(email), id) WHERE email IS NOT NULL;
CREATE INDEX customers_by_name      ON customers.customers ((lower(name) COLLATE "C")) WHERE name IS NOT NULL;
CREATE INDEX customers_by_email     ON customers.customers ((lower(email) COLLATE "C")) WHERE email IS NOT NULL;
CREATE INDEX customers_by_reference ON customers.customers ((lower(reference) COLLATE "C")) WHERE reference IS NOT NULL;
CREATE INDEX customers_old          ON customers.customers (updated_at) WHERE erased_at IS NULL;

-- Who consented to what, when, and where that was said. It names no person but by the customer's id, so it stays.
CREATE TABLE customers.consents (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id uuid        NOT NULL REFERENCES customers.customers,
    purpose     text        COLLATE "C" NOT NULL CHECK (purpose IN ('marketing', 'order_updates')),
    granted     boolean     NOT NULL,
    source      text        COLLATE "C" CHECK (length(source) <= 64),
    by_kind     text        COLLATE "C" NOT NULL CHECK (by_kind IN ('key', 'user', 'server')),
    by_id       uuid,
    at          timestamptz NOT NULL
);
CREATE INDEX consents_customer ON customers.consents (customer_id, id);

CREATE FUNCTION customers.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'customers.consents is append-only: add how it is now instead';
END $$;
CREATE TRIGGER consents_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON customers.consents
    FOR EACH STATEMENT EXECUTE FUNCTION customers.refuse_change();

ALTER TABLE orders.orders ADD COLUMN customer_id uuid;
CREATE INDEX orders_customer ON orders.orders (customer_id, id) WHERE customer_id IS NOT NULL;

CREATE INDEX subscriptions_email ON notices.subscriptions (lower(email));
