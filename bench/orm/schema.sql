-- A small shop, as an object-relational mapper lays it out, with one trigger that sets something in the session, and one that has a date in it.
CREATE TABLE shop_customer (id bigserial PRIMARY KEY, email text NOT NULL, first_name text, last_name text);
CREATE TABLE shop_order (
    id bigserial PRIMARY KEY, customer_id bigint NOT NULL REFERENCES shop_customer,
    created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, status text NOT NULL,
    total_amount numeric(12, 2) NOT NULL, currency text NOT NULL,
    shipping_address_id bigint, billing_address_id bigint, note text);
CREATE INDEX ON shop_order (created_at);
CREATE FUNCTION shop_audit() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN PERFORM set_config('shop.changed', NEW.id::text, false); RETURN NEW; END$$;
CREATE TRIGGER shop_audit BEFORE INSERT OR UPDATE ON shop_customer FOR EACH ROW EXECUTE FUNCTION shop_audit();
CREATE TABLE shop_parcel (
    id bigserial PRIMARY KEY, customer_id bigint, created_at timestamptz, updated_at timestamptz, status text, currency text, note text);
CREATE FUNCTION shop_sent() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN IF NEW.created_at < '2020-01-02 12:00'::timestamptz THEN NEW.note = 'old'; END IF; RETURN NEW; END$$;
CREATE TRIGGER shop_sent BEFORE UPDATE ON shop_parcel FOR EACH ROW EXECUTE FUNCTION shop_sent();
INSERT INTO shop_customer SELECT n, 'customer' || n || '@shop.example', 'First' || n, 'Last' || n
    FROM generate_series(1, 100) n;
INSERT INTO shop_order SELECT n, n % 100 + 1, timestamptz '2026-01-01' + n * interval '1 minute', now(), 'paid',
    n * 1.5, 'EUR', n, n, 'Please leave it at the door of number ' || n FROM generate_series(1, 1000) n;
ANALYZE;
