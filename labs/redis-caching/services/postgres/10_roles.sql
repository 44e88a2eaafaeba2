-- The database of the shop and who may do what in it.
DROP DATABASE IF EXISTS lab;
DROP ROLE IF EXISTS lab;

CREATE ROLE shop_owner NOLOGIN;
CREATE ROLE catalog LOGIN;
ALTER ROLE catalog SET statement_timeout = '120s';
ALTER ROLE catalog SET idle_in_transaction_session_timeout = '60s';
ALTER ROLE catalog SET temp_file_limit = '64MB';

CREATE DATABASE shop OWNER shop_owner;
REVOKE ALL ON DATABASE shop FROM PUBLIC;
GRANT CONNECT ON DATABASE shop TO catalog, checker;

\connect shop
CREATE EXTENSION pg_stat_statements;
CREATE SCHEMA shop AUTHORIZATION shop_owner;
CREATE SCHEMA lab AUTHORIZATION shop_owner;
GRANT USAGE ON SCHEMA shop, lab TO catalog, checker;
