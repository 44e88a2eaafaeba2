-- The database of the invoices. Each check gets a copy of `billing_blank` of its own; `billing` is the playground's.
DROP DATABASE IF EXISTS lab;
DROP ROLE IF EXISTS lab;

CREATE ROLE paperboy LOGIN;
ALTER ROLE paperboy SET idle_in_transaction_session_timeout = '60s';
ALTER ROLE paperboy SET temp_file_limit = '64MB';
GRANT paperboy TO checker;
ALTER ROLE checker CREATEDB;

CREATE DATABASE billing_blank OWNER paperboy;

\connect billing_blank
REVOKE ALL ON DATABASE billing_blank FROM PUBLIC;
CREATE SCHEMA billing AUTHORIZATION paperboy;
SET ROLE paperboy;
CREATE TABLE billing.invoice (order_id text, signature text, amount_cents integer);
RESET ROLE;

\connect postgres
CREATE DATABASE billing OWNER paperboy TEMPLATE billing_blank;
GRANT CONNECT ON DATABASE billing TO checker;
ALTER DATABASE billing_blank WITH IS_TEMPLATE true;
