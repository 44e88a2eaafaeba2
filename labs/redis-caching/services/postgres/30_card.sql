-- The card query, and the gate that a check can close in front of its end.
SET ROLE shop_owner;

-- A closed gate is a row and an advisory lock (17, number) that the check's session holds.
CREATE TABLE lab.gate (
    product_id bigint  PRIMARY KEY,
    mode       text    NOT NULL CHECK (mode IN ('wait', 'raise')),
    number     integer NOT NULL GENERATED ALWAYS AS IDENTITY
);

-- Reads first, then passes the gate: whoever waits there brings home what was true before.
CREATE FUNCTION lab.product_card(product_id bigint, currency text) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    card jsonb;
    gate lab.gate;
BEGIN
    IF product_card.currency IS NULL OR product_card.currency NOT IN ('EUR', 'USD', 'GBP') THEN
        RAISE EXCEPTION 'unknown currency' USING ERRCODE = 'invalid_parameter_value';
    END IF;

    SELECT jsonb_build_object(
               'id', p.id, 'sku', p.sku, 'name', p.name, 'description', p.description,
               'price', round(round(p.price_cents * r.rate / 100 / s.step) * s.step, 2)::text,
               'currency', r.currency, 'stock', p.stock, 'version', p.version)
      INTO card
      FROM shop.product p
      JOIN shop.currency_rate r ON r.currency = product_card.currency
      LEFT JOIN shop.placement o ON o.product_id = p.id
      LEFT JOIN shop.brand b ON b.id = o.brand_id
      LEFT JOIN shop.category c ON c.id = o.category_id
      CROSS JOIN LATERAL (
          SELECT x.step FROM shop.price_rule x
           WHERE x.currency = r.currency AND x.category_id IN (c.id, 0)
           ORDER BY x.category_id DESC LIMIT 1) s
     WHERE p.id = product_card.product_id;

    SELECT g.* INTO gate FROM lab.gate g WHERE g.product_id = product_card.product_id;
    IF FOUND THEN
        PERFORM pg_advisory_xact_lock_shared(17, gate.number);
        IF gate.mode = 'raise' THEN
            RAISE EXCEPTION 'the card query failed' USING ERRCODE = 'raise_exception';
        END IF;
    END IF;
    RETURN card;
END $$;

-- For checks, in autocommit. The lock belongs to the session that closes the gate: it opens the gate, too, and
-- if it is lost nobody waits any more. The row is seen by others only when the lock is already held.
CREATE FUNCTION lab.close_gate(product_id bigint, mode text DEFAULT 'wait') RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    number integer;
BEGIN
    DELETE FROM lab.gate g WHERE g.product_id = close_gate.product_id;
    INSERT INTO lab.gate AS g (product_id, mode) VALUES (close_gate.product_id, close_gate.mode)
        RETURNING g.number INTO number;
    PERFORM pg_advisory_lock(17, number);
    RETURN number;
END $$;

-- The row goes first and is committed, then the lock: who comes later finds no gate, who waits is let through.
CREATE PROCEDURE lab.open_gate(product_id bigint)
LANGUAGE plpgsql AS $$
DECLARE
    number integer;
BEGIN
    DELETE FROM lab.gate g WHERE g.product_id = open_gate.product_id RETURNING g.number INTO number;
    COMMIT;
    IF number IS NOT NULL THEN
        PERFORM pg_advisory_unlock(17, number);
    END IF;
END $$;

-- Who waits at which gate, in the order of arrival.
CREATE VIEW lab.waiter AS
    SELECT g.product_id, l.pid, a.usename, a.client_addr, l.waitstart
      FROM pg_locks l
      JOIN lab.gate g ON g.number = l.objid::bigint
      JOIN pg_stat_activity a ON a.pid = l.pid
     WHERE l.locktype = 'advisory' AND l.classid = 17 AND l.objsubid = 2 AND NOT l.granted
       AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
     ORDER BY l.waitstart NULLS LAST, l.pid;

REVOKE EXECUTE ON ALL ROUTINES IN SCHEMA lab FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lab.product_card TO catalog, checker;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA lab TO checker;
GRANT ALL ON lab.gate TO checker;
GRANT SELECT ON lab.waiter TO checker;
RESET ROLE;
GRANT EXECUTE ON FUNCTION pg_stat_statements_reset TO checker;
