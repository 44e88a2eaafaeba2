-- Run once, by bootstrap.sh, on the first start of pg-a. The passwords come in as variables of psql.
CREATE ROLE shop_app LOGIN PASSWORD :'app_password';
CREATE ROLE replicator LOGIN REPLICATION PASSWORD :'replication_password';
CREATE ROLE ledger_ops LOGIN PASSWORD :'ops_password';

-- The service asks both hosts who follows whom.
GRANT pg_read_all_stats TO shop_app;

-- On the other host the operator reads what pg_rewind needs, and changes one setting.
GRANT EXECUTE ON FUNCTION pg_ls_dir(text, boolean, boolean) TO ledger_ops;
GRANT EXECUTE ON FUNCTION pg_stat_file(text, boolean) TO ledger_ops;
GRANT EXECUTE ON FUNCTION pg_read_binary_file(text) TO ledger_ops;
GRANT EXECUTE ON FUNCTION pg_read_binary_file(text, bigint, bigint, boolean) TO ledger_ops;
GRANT EXECUTE ON FUNCTION pg_reload_conf() TO ledger_ops;
GRANT pg_checkpoint TO ledger_ops;
GRANT ALTER SYSTEM ON PARAMETER synchronous_standby_names TO ledger_ops;

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
