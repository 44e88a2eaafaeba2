-- Run once, by bootstrap.sh, on the first start of pg-a. The passwords come in as variables of psql.
CREATE ROLE shop_app LOGIN PASSWORD :'app_password';

-- TODO T1: the role `replicator`, which streams, with :'replication_password'.
-- TODO T6: the role `ledger_ops`, which promote.sh and rejoin.sh use on the other host, with :'ops_password'.

CREATE DATABASE shop;
\connect shop

REVOKE ALL ON DATABASE shop FROM PUBLIC;
GRANT CONNECT ON DATABASE shop TO shop_app;

CREATE SCHEMA shop;
CREATE TABLE shop.orders (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_ref text NOT NULL UNIQUE,
    sku        text NOT NULL,
    qty        integer NOT NULL CHECK (qty > 0),
    created_at timestamptz NOT NULL DEFAULT now()
);
GRANT USAGE ON SCHEMA shop TO shop_app;
GRANT SELECT, INSERT, UPDATE ON shop.orders TO shop_app;
